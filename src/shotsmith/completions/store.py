"""The durable store of completions: one SQLite file, content-addressed, safe under kill -9 and several writers.

It keeps what the VLM said, never what that is worth: a new reward or metric needs no VLM call.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from shotsmith.completions.read_ahead import read_ahead
from shotsmith.completions.soundness import check_schema, check_values
from shotsmith.errors import StoreError
from shotsmith.files import digest, sync
from shotsmith.records import Completion, Failure, Request, images_digest

SCHEMA_VERSION = 1

_APPLICATION = 0x53686F74  # "Shot"
_MAGIC = b"SQLite format 3\0"
_BUSY_SECONDS = 120.0
_KEYS_PER_QUERY = 500
_FIRST_KEYS = 100
"""Those whose look-up tells whether the file is in memory."""
_MANY_KEYS = 1000
"""So many more are worth a look at several places of the disk at a time."""
_SLOW = 1e-4
"""Seconds a key: one that is in memory takes a fifth of it, one on a disk three times as long."""
_CHECKED_WHOLE = 16 * 2**20
"""Bytes up to which opening a store checks every page of it; of a larger one only what leads to its rows."""

_SCHEMA = """
CREATE TABLE completions (key BLOB PRIMARY KEY, text TEXT, origin TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE log_probs (key BLOB, answer TEXT, value REAL NOT NULL, PRIMARY KEY (key, answer)) WITHOUT ROWID;
CREATE TABLE calls (origin TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE failures (key BLOB, reason TEXT, count INTEGER NOT NULL, PRIMARY KEY (key, reason)) WITHOUT ROWID;
"""
_ADDED = (
    "CREATE TABLE IF NOT EXISTS truncated (key BLOB PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS failing (key BLOB PRIMARY KEY, origin TEXT NOT NULL) WITHOUT ROWID",
)
"""Tables that older stores lack: texts cut off at the most tokens; prompts without an answer, by who asked last."""

_STORED = """
CREATE TABLE IF NOT EXISTS stored (origin TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID
"""
"""How many rows of completions each origin has brought; a store of an older version is counted once."""


def request_key(request: Request, identity: str) -> str:
    """What decides a completion, hashed: the VLM's identity, the demonstrations in order, the query; images by content.

    What is wanted of the completion (text, which answers' log-probabilities) is no part of it.
    """
    parts = [identity]
    for example in request.demonstrations:
        parts += [images_digest(example), example.question, example.answer]
    return digest(*parts, images_digest(request.query), request.query.question)


class Store:
    """Completions by key. Open one with `Store.open`; a store belongs to the thread that opened it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, read_only: bool = False) -> None:
        self.path = path
        self.connection = connection
        """For the modules of this room."""
        self.read_only = read_only

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open the store in `path`, made if it is not there. Raises StoreError for a damaged or foreign file."""
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _check_kind(path)
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
        """Open a store that is not written to, as one on a read-only disk. Raises StoreError as `open` does."""
        with _explained(path):
            _check_kind(path)
            log = path.with_name(f"{path.name}-wal")
            unchanging = "" if log.exists() and log.stat().st_size else "&immutable=1"
            uri = f"{path.resolve().as_uri()}?mode=ro{unchanging}"
            connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        store = cls(path, connection, read_only=True)
        try:
            with _explained(path):
                connection.execute("PRAGMA trusted_schema = OFF")
                store._check_version(*store._versions())
                check_schema(connection, path)
                for statement in _ADDED:  # an older store is read as one without such rows
                    name = statement.split()[5]
                    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone() is None:
                        connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE"))
                store._check()
        except StoreError:
            connection.close()
            raise
        return store

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        self.connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get_many(self, keys: Iterable[str]) -> dict[str, Completion]:
        """Everything known under the keys: text (None if it was never asked for) and all log-probabilities."""
        wanted = [bytes.fromhex(key) for key in sorted(set(keys))]  # neighbours share pages
        first, rest = wanted[:_FIRST_KEYS], wanted[_FIRST_KEYS:]
        with _explained(self.path):
            started = time.perf_counter()
            found = self._get(first)
            if len(rest) > _MANY_KEYS and time.perf_counter() - started > _SLOW * len(first):
                read_ahead(self.path, rest)
            for start in range(0, len(rest), _KEYS_PER_QUERY):
                found |= self._get(rest[start : start + _KEYS_PER_QUERY])
        return found

    def put_many(self, batch: Sequence[tuple[str, Completion | Failure]], origin: str) -> None:
        """Store the answers of one batch in one transaction: after a crash either all are there or none.

        What is already stored stays. Each completion that brings something new counts as one call paid by `origin`;
        a failure is counted under its reason, and forgotten once its key has been answered.
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
            self.add_stored({origin: rows})

    def sync(self) -> None:
        """Wait until the disk has all that is stored, so that it outlives a power loss."""
        log = self.path.with_name(f"{self.path.name}-wal")
        with _explained(self.path):
            for place in (log, self.path, self.path.parent):
                if place.exists():
                    sync(place)

    def add_stored(self, rows: Mapping[str, int]) -> None:
        """Count rows that origins have brought, within a transaction."""
        self.connection.executemany(
            "INSERT INTO stored VALUES (?, ?) ON CONFLICT (origin) DO UPDATE SET count = count + excluded.count",
            [(origin, count) for origin, count in rows.items() if count],
        )

    def missing(self) -> Mapping[str, int]:
        """Completions that an origin has brought and that are not there any more, by origin. Reads all rows."""
        with _explained(self.path):
            there = dict(self.connection.execute("SELECT origin, count(*) FROM completions GROUP BY origin").fetchall())
            if self.connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'stored'").fetchone() is None:
                return {}
            brought = self.connection.execute("SELECT origin, count FROM stored ORDER BY origin").fetchall()
        return {origin: count - there.get(origin, 0) for origin, count in brought if count > there.get(origin, 0)}

    def count(self, origin_prefix: str = "") -> int:
        """VLM calls first paid for by the origins with this prefix: requests that brought something new."""
        with _explained(self.path):
            (total,) = self.connection.execute(
                "SELECT total(count) FROM calls WHERE substr(origin, 1, length(?1)) = ?1", (origin_prefix,)
            ).fetchone()
        return int(total)

    def failures(self) -> Mapping[str, int]:
        """How often each reason kept a prompt from being answered, of the prompts that still have no answer."""
        with _explained(self.path):
            rows = self.connection.execute("SELECT reason, sum(count) FROM failures GROUP BY reason ORDER BY reason")
            return {reason: int(count) for reason, count in rows}

    def verify(self) -> None:
        """Read the whole file: how it is built and what it holds. Raises StoreError naming the first damage."""
        self.verify_pages()
        with _explained(self.path):
            check_schema(self.connection, self.path)
            check_values(self.connection, self.path)

    def verify_pages(self) -> None:
        """Read the whole file and check how it is built. Raises StoreError naming the first damage."""
        with _explained(self.path):
            (verdict,) = self.connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StoreError(f"{self.path}: is damaged: {verdict}")

    def _prepare(self) -> None:
        with _explained(self.path):
            self._write_ahead()
            self.connection.execute("PRAGMA cell_size_check = ON")
            # With WAL a commit is in the operating system's hands when it returns: it outlives the process. What rests
            # on it calls `sync` first, to outlive a power loss too.
            self.connection.execute("PRAGMA synchronous = NORMAL")
            self.connection.execute("PRAGMA trusted_schema = OFF")
            with self.transaction():
                application, version, tables = self._versions()
                if (application, version, tables) == (0, 0, 0):
                    for statement in _SCHEMA.strip().split(";\n"):
                        self.connection.execute(statement)
                    self.connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                    self.connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                self._check_version(*self._versions())
                check_schema(self.connection, self.path)
                for statement in _ADDED:
                    self.connection.execute(statement)
                self._count_stored()
            self._check()

    def _versions(self) -> tuple[int, int, int]:
        """Application, schema version, and number of tables."""
        (application,) = self.connection.execute("PRAGMA application_id").fetchone()
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self.connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        return application, version, tables

    def _check_version(self, application: int, version: int, _tables: int) -> None:
        if application != _APPLICATION:
            raise StoreError(f"{self.path}: is a database, but not a completions store")
        if version != SCHEMA_VERSION:
            raise StoreError(f"{self.path}: has schema version {version}; this Shotsmith reads {SCHEMA_VERSION}")

    def _count_stored(self) -> None:
        """Begin to keep count of the rows that each origin has brought."""
        execute = self.connection.execute
        if execute("SELECT 1 FROM sqlite_schema WHERE name = 'stored'").fetchone() is None:
            execute(_STORED)
            execute("INSERT INTO stored SELECT origin, count(*) FROM completions GROUP BY origin")

    def _check(self) -> None:
        """A cheap check: SQLite has compared the file's length with its header; read to both ends of each table.

        Pages beyond that are checked when they are read, cell by cell; `verify` checks all.
        """
        execute = self.connection.execute
        if self.path.stat().st_size <= _CHECKED_WHOLE:
            self.verify_pages()
        counted = execute("SELECT 1 FROM sqlite_schema WHERE name = 'stored'").fetchone() is not None
        tables = {"completions": "key", "log_probs": "key", "calls": "origin", "failures": "key"}
        for table, column in (tables | ({"stored": "origin"} if counted else {})).items():
            execute(f"SELECT min({column}) FROM {table}").fetchone()
            execute(f"SELECT max({column}) FROM {table}").fetchone()

    def _write_ahead(self) -> None:
        """Switch the file to WAL; alone among statements this one does not wait when another process does the same."""
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self.connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)

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
        """Whether the row was new, and whether anything was."""
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

    def completions(self) -> int:
        """Completions stored; this reads the whole of their table."""
        with self.explained():
            (count,) = self.connection.execute("SELECT count(*) FROM completions").fetchone()
        return int(count)

    def explained(self) -> contextlib.AbstractContextManager[None]:
        """Errors of SQLite and of the file system become a StoreError that names the file."""
        return _explained(self.path)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """What is written within is there wholly or not at all, and nobody else writes meanwhile."""
        with _explained(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self.connection.in_transaction:  # a full disk has ended it already
                    self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")


def _check_kind(path: Path) -> None:
    """Refuse a file that is no database, which SQLite overwrites when it is short. An empty one is a new store."""
    if path.exists():
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
        if start and start != _MAGIC:
            raise StoreError(f"{path}: is not a completions store")


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite and the file system into one that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # the last: of SQLite's words about a damaged name
        raise StoreError(f"{path}: {error}") from error
