"""The durable store of completions: one content-addressed SQLite file, safe under kill -9 and several writers.

It stores what the VLM returned and no rewards, so that a new reward or metric needs no VLM call.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from shotsmith.completions.schema import check_read_only, check_tables, check_values, create_or_upgrade, has_table
from shotsmith.errors import StoreError
from shotsmith.files import digest, sync
from shotsmith.records import Completion, Failure, Request, images_digest

_MAGIC = b"SQLite format 3\0"
_BUSY_SECONDS = 120.0
"""How long a statement waits for another process that writes."""
_KEYS_PER_QUERY = 500
"""Keys in one statement; SQLite limits the number of values that a statement takes."""
_CHECKED_WHOLE = 16 * 2**20
"""File size in bytes up to which opening a store checks every page; of larger files only the paths to the rows."""

_FIRST_KEYS = 100
"""Keys whose look-up is timed to tell whether the file is in memory."""
_MANY_KEYS = 1000
"""The fewest further keys for which reading ahead saves time."""
_SLOW = 1e-4
"""Seconds per key above which the file is not in memory: a key takes about 2e-5 from memory and 3e-4 from a disk."""
_READERS = 64
"""Threads that read ahead. There are more of them than cores, because they wait for the disk."""


def request_key(request: Request, identity: str) -> str:
    """Hash what determines a completion: the VLM's identity, the demonstrations in order, and the query.

    Images enter by content. Whether a text or log-probabilities are requested does not enter: both are stored under
    one key.
    """
    parts = [identity]
    for example in request.demonstrations:
        parts += [images_digest(example), example.question, example.answer]
    return digest(*parts, images_digest(request.query), request.query.question)


class Store:
    """Completions by key. Create with `Store.open`; a store may only be used in the thread that opened it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, read_only: bool = False) -> None:
        self.path = path
        self.connection = connection
        """The SQLite connection, for modules of `shotsmith.completions` only."""
        self.read_only = read_only

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open the store at `path`, creating it if absent. Raises StoreError for a damaged or foreign file."""
        with _naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _check_magic(path)
            connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        store = cls(path, connection)
        try:
            store._prepare()
        except StoreError:
            connection.close()
            raise
        return store

    @classmethod
    def open_to_read(cls, path: Path) -> Store:
        """Open a store that cannot be written to, such as one on a read-only disk. Raises StoreError as `open` does."""
        with _naming(path):
            _check_magic(path)
            log = path.with_name(f"{path.name}-wal")
            unchanging = "" if log.exists() and log.stat().st_size else "&immutable=1"
            uri = f"{path.resolve().as_uri()}?mode=ro{unchanging}"
            connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        store = cls(path, connection, read_only=True)
        try:
            with _naming(path):
                connection.execute("PRAGMA trusted_schema = OFF")
                check_read_only(connection, path)
                store._check_ends()
        except StoreError:
            connection.close()
            raise
        return store

    def close(self) -> None:
        """Close the file. The store cannot be used afterwards."""
        self.connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get_many(self, keys: Iterable[str]) -> dict[str, Completion]:
        """Return the stored text (None if never requested) and all log-probabilities of each key that is stored."""
        wanted = [bytes.fromhex(key) for key in sorted(set(keys))]  # neighbouring keys share pages
        first, rest = wanted[:_FIRST_KEYS], wanted[_FIRST_KEYS:]
        with _naming(self.path):
            started = time.perf_counter()
            found = self._get(first)
            if len(rest) > _MANY_KEYS and time.perf_counter() - started > _SLOW * len(first):
                _read_ahead(self.path, rest)
            for start in range(0, len(rest), _KEYS_PER_QUERY):
                found |= self._get(rest[start : start + _KEYS_PER_QUERY])
        return found

    def put_many(self, batch: Sequence[tuple[str, Completion | Failure]], origin: str) -> None:
        """Store the results of one batch in one transaction: after a crash either all are stored or none.

        Stored values are never replaced. Each completion that adds something counts as one VLM call paid by `origin`.
        A failure is counted under its reason and removed once its key has a completion.
        """
        with self.transaction():
            calls = rows = 0
            for key, result in batch:
                if isinstance(result, Failure):
                    self._count_failure(bytes.fromhex(key), result, origin)
                else:
                    new_row, new = self._put(bytes.fromhex(key), result, origin)
                    rows, calls = rows + new_row, calls + new
            self.connection.execute(
                "INSERT INTO calls VALUES (?, ?) ON CONFLICT (origin) DO UPDATE SET count = count + excluded.count",
                (origin, calls),
            )
            self.add_row_counts({origin: rows})

    def sync(self) -> None:
        """Wait until everything stored is on the disk, so that it survives a power loss."""
        log = self.path.with_name(f"{self.path.name}-wal")
        with _naming(self.path):
            for place in (log, self.path, self.path.parent):
                if place.exists():
                    sync(place)

    def add_row_counts(self, rows: Mapping[str, int]) -> None:
        """Record how many rows each origin has added. The caller holds a transaction."""
        self.connection.executemany(
            "INSERT INTO stored VALUES (?, ?) ON CONFLICT (origin) DO UPDATE SET count = count + excluded.count",
            [(origin, count) for origin, count in rows.items() if count],
        )

    def completions(self) -> int:
        """Count the stored completions. Reads their whole table."""
        with _naming(self.path):
            (count,) = self.connection.execute("SELECT count(*) FROM completions").fetchone()
        return int(count)

    def count(self, origin_prefix: str = "") -> int:
        """Count the VLM calls paid by origins with this prefix: requests that added something to the store."""
        with _naming(self.path):
            (total,) = self.connection.execute(
                "SELECT total(count) FROM calls WHERE substr(origin, 1, length(?1)) = ?1", (origin_prefix,)
            ).fetchone()
        return int(total)

    def failures(self) -> Mapping[str, int]:
        """Count failures by reason, for prompts that have no completion."""
        with _naming(self.path):
            rows = self.connection.execute("SELECT reason, sum(count) FROM failures GROUP BY reason ORDER BY reason")
            return {reason: int(count) for reason, count in rows}

    def missing(self) -> Mapping[str, int]:
        """Count, by origin, completions that were stored once and are no longer in the file. Reads all rows."""
        with _naming(self.path):
            stored = dict(
                self.connection.execute("SELECT origin, count(*) FROM completions GROUP BY origin").fetchall()
            )
            if not has_table(self.connection, "stored"):
                return {}
            added = self.connection.execute("SELECT origin, count FROM stored ORDER BY origin").fetchall()
        return {origin: count - stored.get(origin, 0) for origin, count in added if count > stored.get(origin, 0)}

    def verify(self) -> None:
        """Read the whole file and check its pages, tables and values. Raises StoreError naming the first damage."""
        self.verify_pages()
        with _naming(self.path):
            check_tables(self.connection, self.path)
            check_values(self.connection, self.path)

    def verify_pages(self) -> None:
        """Read the whole file and check its pages. Raises StoreError naming the first damage."""
        with _naming(self.path):
            (verdict,) = self.connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StoreError(f"{self.path}: is damaged: {verdict}")

    def naming_file(self) -> contextlib.AbstractContextManager[None]:
        """Convert errors of SQLite and the file system within the block to a StoreError that names the file."""
        return _naming(self.path)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything written within the block, or nothing if it raises. Other writers wait meanwhile."""
        with _naming(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self.connection.in_transaction:  # SQLite ends the transaction itself when the disk is full
                    self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    def _prepare(self) -> None:
        with _naming(self.path):
            self._use_write_ahead_log()
            self.connection.execute("PRAGMA cell_size_check = ON")
            # With WAL, a commit that has returned is held by the operating system and survives the process. What relies
            # on it calls `sync` first, to survive a power loss too.
            self.connection.execute("PRAGMA synchronous = NORMAL")
            self.connection.execute("PRAGMA trusted_schema = OFF")
            with self.transaction():
                create_or_upgrade(self.connection, self.path)
            self._check_ends()

    def _use_write_ahead_log(self) -> None:
        """Switch the file to WAL, retrying while another process does so: SQLite does not wait in this statement."""
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self.connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)

    def _check_ends(self) -> None:
        """Check every page of a small file; of a large one, read the first and the last row of each table.

        SQLite compares the length of the file with its header and checks other pages as it reads them. `verify` checks
        all of them.
        """
        if self.path.stat().st_size <= _CHECKED_WHOLE:
            self.verify_pages()
        tables = {"completions": "key", "log_probs": "key", "calls": "origin", "failures": "key"}
        if has_table(self.connection, "stored"):
            tables["stored"] = "origin"
        for table, column in tables.items():
            self.connection.execute(f"SELECT min({column}) FROM {table}").fetchone()
            self.connection.execute(f"SELECT max({column}) FROM {table}").fetchone()

    def _get(self, keys: Sequence[bytes]) -> dict[str, Completion]:
        marks = ", ".join("?" * len(keys))
        log_probs: dict[bytes, dict[str, float]] = {}
        for key, answer, value in self.connection.execute(
            f"SELECT key, answer, value FROM log_probs WHERE key IN ({marks})", keys
        ):
            log_probs.setdefault(key, {})[answer] = value
        truncated = {
            key for (key,) in self.connection.execute(f"SELECT key FROM truncated WHERE key IN ({marks})", keys)
        }
        rows = self.connection.execute(f"SELECT key, text FROM completions WHERE key IN ({marks})", keys)
        return {key.hex(): Completion(text, log_probs.get(key, {}), key in truncated) for key, text in rows}

    def _put(self, key: bytes, completion: Completion, origin: str) -> tuple[bool, bool]:
        """Add what is new of a completion; returns whether the row was new, and whether anything was."""
        execute = self.connection.execute
        new = execute("INSERT OR IGNORE INTO completions VALUES (?, ?, ?)", (key, completion.text, origin)).rowcount
        new_row = new > 0
        if not new and completion.text is not None:
            new = execute(
                "UPDATE completions SET text = ? WHERE key = ? AND text IS NULL", (completion.text, key)
            ).rowcount
        if new and completion.truncated:
            execute("INSERT OR IGNORE INTO truncated VALUES (?)", (key,))
        for answer, value in completion.log_probs.items():
            new += execute(
                "INSERT INTO log_probs VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (key, answer, value)
            ).rowcount
        for table in ("failures", "failing"):
            execute(f"DELETE FROM {table} WHERE key = ?", (key,))
        return new_row, new > 0

    def _count_failure(self, key: bytes, failure: Failure, origin: str) -> None:
        self.connection.execute(
            "INSERT INTO failures VALUES (?, ?, 1) ON CONFLICT (key, reason) DO UPDATE SET count = count + 1",
            (key, failure.reason.encode(errors="replace").decode()),
        )
        self.connection.execute("INSERT OR REPLACE INTO failing VALUES (?, ?)", (key, origin))


def _read_ahead(path: Path, keys: Sequence[bytes]) -> None:
    """Read the pages of these keys with many threads, so that a following query finds them in memory.

    One query reads page after page and waits for the disk each time, while a disk serves many reads in the same time.
    Ten million completions take 1.3 GB, and 10,000 of their keys lie on about 20,000 pages. Raises sqlite3.Error where
    the file is damaged.
    """
    size = min(max(1, -(-len(keys) // _READERS)), _KEYS_PER_QUERY)
    parts = [keys[start : start + size] for start in range(0, len(keys), size)]
    with ThreadPoolExecutor(_READERS) as readers:
        list(readers.map(partial(_read_pages, path), parts))


def _read_pages(path: Path, keys: Sequence[bytes]) -> None:
    marks = ", ".join("?" * len(keys))
    uri = f"{path.resolve().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as connection:
        for table in ("completions", "log_probs"):
            connection.execute(f"SELECT count(*) FROM {table} WHERE key IN ({marks})", keys).fetchone()


def _check_magic(path: Path) -> None:
    """Refuse a file that is not a SQLite database, which SQLite would overwrite if it is short.

    An empty file is accepted as a new store.
    """
    if path.exists():
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
        if start and start != _MAGIC:
            raise StoreError(f"{path}: is not a completions store")


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Convert errors of SQLite and the file system within the block to a StoreError that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # SQLite's message on a damaged name may not decode
        raise StoreError(f"{path}: {error}") from error
