"""Copy whole stores: export one to Parquet, and merge one into another.

A merge keeps what the target has and counts nothing twice, however often it is repeated. Each batch of rows is one
transaction. Calls and failures follow in one more, together with a record of how much was merged from which store:
repeating a merge that was killed, or merging a store that has grown since, adds only the rest.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shotsmith.completions.schema import has_table
from shotsmith.completions.store import Store
from shotsmith.errors import InputError, StoreError
from shotsmith.files import file_digest, replacing
from shotsmith.progress import Progress, Silent

BATCH_ROWS = 10_000
"""Rows in memory at a time."""

_NAME = "CREATE TABLE IF NOT EXISTS name (value TEXT NOT NULL)"
_TAKEN = (
    "CREATE TABLE IF NOT EXISTS taken (source TEXT, kind TEXT, item TEXT, count INTEGER NOT NULL, "
    "PRIMARY KEY (source, kind, item)) WITHOUT ROWID"
)


@dataclass(frozen=True, slots=True)
class StoredCompletion:
    """One completion with everything stored under its key."""

    key: bytes
    text: str | None
    origin: str
    """The stage that first paid for it."""
    log_probs: dict[str, float] = field(default_factory=dict)
    truncated: bool = False
    """Whether the text was cut off at the token limit."""


@dataclass(frozen=True, slots=True)
class MergeResult:
    """Counts of one merge."""

    read: int
    """Completions of the source."""
    added: int
    """Completions of the source that the target did not have."""
    conflicts: int
    """Completions with different texts in source and target; the target keeps its text."""
    conflicting_log_probs: int
    """Log-probabilities with different values in source and target; the target keeps its values."""
    first_conflict: str | None
    """The key of the first conflict of either kind."""


@contextmanager
def snapshot(store: Store) -> Iterator[None]:
    """Read a store within the block as it is now, whatever other processes write meanwhile."""
    with store.naming_file():
        store.connection.execute("BEGIN")
    try:
        yield
    finally:
        store.connection.execute("ROLLBACK")


def read_batches(store: Store, rows: int = BATCH_ROWS) -> Iterator[list[StoredCompletion]]:
    """Yield all completions in batches, ordered by key. Raises StoreError for a damaged file."""
    last = b""
    while batch := _read_after(store, last, rows):
        yield batch
        last = batch[-1].key


def _read_after(store: Store, last: bytes, rows: int) -> list[StoredCompletion]:
    with store.naming_file():
        execute = store.connection.execute
        found = execute(
            "SELECT key, text, origin, EXISTS (SELECT 1 FROM truncated WHERE truncated.key = completions.key) "
            "FROM completions WHERE key > ? ORDER BY key LIMIT ?",
            (last, rows),
        )
        batch = {key: StoredCompletion(key, text, origin, {}, bool(cut)) for key, text, origin, cut in found}
        if batch:
            for key, answer, value in execute(
                "SELECT key, answer, value FROM log_probs WHERE key > ? AND key <= ?", (last, next(reversed(batch)))
            ):
                batch[key].log_probs[answer] = value
    return list(batch.values())


def export(store: Store, out: Path, progress: Progress | None = None) -> int:
    """Write every completion to the Parquet file `out`, ordered by key; returns how many.

    Columns: `key` (64 hex digits), `text` (null where none was requested), `log_probs` (a map from answers to natural
    logarithms), `origin`, `truncated` (whether a server cut the text off). The file is complete or absent and holds the
    store as it is at the start; a bounded number of rows is in memory. Raises StoreError for a damaged store.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            pa.field("text", pa.string()),
            pa.field("log_probs", pa.map_(pa.string(), pa.float64()), nullable=False),
            pa.field("origin", pa.string(), nullable=False),
            pa.field("truncated", pa.bool_(), nullable=False),
        ]
    )
    store.verify()
    with snapshot(store), replacing(out) as temporary:
        total = store.completions()
        with pq.ParquetWriter(temporary, schema) as writer, (progress or Silent()).task("export", total) as advance:
            for batch in read_batches(store):
                columns = [
                    [one.key.hex() for one in batch],
                    [one.text for one in batch],
                    [list(one.log_probs.items()) for one in batch],
                    [one.origin for one in batch],
                    [one.truncated for one in batch],
                ]
                arrays = [pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)]
                writer.write_batch(pa.record_batch(arrays, schema=schema))
                advance(len(batch))
    return total


def merge(into: Store, source: Store, progress: Progress | None = None) -> MergeResult:
    """Copy completions, log-probabilities, call counts by origin and failures of `source` to `into`.

    Other processes may write to both meanwhile: `source` is read as it is at the start. Raises StoreError for a damaged
    file or one with values that no store holds, and InputError where both are the same file.
    """
    if into.path.resolve() == source.path.resolve():
        raise InputError("cannot be merged into itself", file=into.path)
    source.verify()
    name = _name(source)
    with into.transaction():
        into.connection.execute(_TAKEN)
    counts = dict.fromkeys(("read", "added", "conflicts", "conflicting_log_probs"), 0)
    first: str | None = None
    with (
        snapshot(source),
        (progress or Silent()).task(f"merge {source.path.name}", source.completions()) as advance,
    ):
        for batch in read_batches(source):
            with into.transaction():
                conflict = _merge_batch(into, batch, counts)
            first = first or conflict
            advance(len(batch))
        _merge_counts(into, source, name)
    return MergeResult(**counts, first_conflict=first)


def _name(store: Store) -> str:
    """Return the permanent random name of a store, which does not depend on its path; a new store gets one here.

    A read-only store without a name is identified by the hash of its file.
    """
    if store.read_only:
        with store.naming_file():
            named = has_table(store.connection, "name")
            row = store.connection.execute("SELECT value FROM name").fetchone() if named else None
        return str(row[0]) if row else f"read-only {file_digest(store.path)}"
    with store.transaction():
        store.connection.execute(_NAME)
        row = store.connection.execute("SELECT value FROM name").fetchone()
        if row is None:
            row = (secrets.token_hex(16),)
            store.connection.execute("INSERT INTO name VALUES (?)", row)
    return str(row[0])


def _merge_batch(into: Store, batch: list[StoredCompletion], counts: dict[str, int]) -> str | None:
    """Add what is new of a batch and update `counts`; returns the key of the first conflict."""
    stored = into.get_many(one.key.hex() for one in batch)
    first: str | None = None
    for one in batch:
        known = stored.get(one.key.hex())
        other_text = known is not None and None not in (known.text, one.text) and known.text != one.text
        values = known.log_probs if known else {}
        other_values = sum(values.get(answer, value) != value for answer, value in one.log_probs.items())
        counts["added"] += known is None
        counts["conflicts"] += other_text
        counts["conflicting_log_probs"] += other_values
        if first is None and (other_text or other_values):
            first = one.key.hex()
    counts["read"] += len(batch)
    into.add_row_counts(Counter(one.origin for one in batch if one.key.hex() not in stored))
    executemany = into.connection.executemany
    executemany(
        "INSERT INTO completions VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET text = excluded.text WHERE text IS NULL",
        ((one.key, one.text, one.origin) for one in batch),
    )
    executemany(
        "INSERT INTO log_probs VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        ((one.key, answer, value) for one in batch for answer, value in one.log_probs.items()),
    )
    new_texts = [one for one in batch if one.key.hex() not in stored or stored[one.key.hex()].text is None]
    executemany("INSERT OR IGNORE INTO truncated VALUES (?)", ((one.key,) for one in new_texts if one.truncated))
    for table in ("failures", "failing"):
        executemany(f"DELETE FROM {table} WHERE key = ?", ((one.key,) for one in batch))
    return first


def _merge_counts(into: Store, source: Store, name: str) -> None:
    """Add the call counts and failures of `source`, called `name`, that have not been merged before."""
    with source.naming_file():
        calls = source.connection.execute("SELECT origin, count FROM calls").fetchall()
        failures = source.connection.execute("SELECT key, reason, count FROM failures").fetchall()
        failing = source.connection.execute("SELECT key, origin FROM failing").fetchall()
    with into.transaction():
        for origin, count in calls:
            into.connection.execute(
                "INSERT INTO calls VALUES (?, ?) ON CONFLICT (origin) DO UPDATE SET count = count + excluded.count",
                (origin, _not_yet_merged(into, (name, "calls", origin), count)),
            )
        for key, reason, count in failures:
            new = _not_yet_merged(into, (name, "failures", f"{key.hex()} {reason}"), count)
            into.connection.execute(
                "INSERT INTO failures SELECT ?1, ?2, ?3 WHERE ?3 > 0 "
                "AND NOT EXISTS (SELECT 1 FROM completions WHERE key = ?1) "
                "ON CONFLICT (key, reason) DO UPDATE SET count = count + excluded.count",
                (key, reason, new),
            )
        into.connection.executemany(
            "INSERT OR IGNORE INTO failing SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM failures WHERE key = ?1)", failing
        )


def _not_yet_merged(into: Store, item: tuple[str, str, str], count: int) -> int:
    """Return how much of a count earlier merges have not added, and record all of it as merged."""
    execute = into.connection.execute
    row = execute("SELECT count FROM taken WHERE source = ? AND kind = ? AND item = ?", item).fetchone()
    before = row[0] if row else 0
    if before > count:
        raise StoreError(f"{into.path}: has merged {before} {item[1]} of {item[2]}, but the source has {count}")
    execute("INSERT OR REPLACE INTO taken VALUES (?, ?, ?, ?)", (*item, count))
    return int(count - before)
