"""One store taken into another. What is already there stays; nothing is counted twice, however often it is repeated.

A batch of rows is one transaction. Calls and failures follow in one more, with a note of how much of them was taken
from which store: a merge that was killed, or of a store that has grown since, adds what is still owed.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass

from shotsmith.completions.store import Store
from shotsmith.completions.stored import Stored, batches, snapshot
from shotsmith.errors import InputError, StoreError
from shotsmith.files import file_digest
from shotsmith.progress import Progress, Silent

_NAME = "CREATE TABLE IF NOT EXISTS name (value TEXT NOT NULL)"
_TAKEN = (
    "CREATE TABLE IF NOT EXISTS taken (source TEXT, kind TEXT, item TEXT, count INTEGER NOT NULL, "
    "PRIMARY KEY (source, kind, item)) WITHOUT ROWID"
)


@dataclass(frozen=True, slots=True)
class Merged:
    """What one merge did."""

    read: int
    """Completions of the source."""
    added: int
    """Of these, those that were not there."""
    conflicts: int
    """Of these, those with another text than the one that is there; that one stays."""
    conflicting_log_probs: int
    """Log-probabilities that differ from the ones that are there; those stay."""
    first_conflict: str | None
    """The key of the first of either."""


def merge(into: Store, source: Store, progress: Progress | None = None) -> Merged:
    """Take completions, log-probabilities, call counts by origin and failures of `source` into `into`.

    Others may write to both meanwhile: `source` is taken as it is at the beginning. Raises StoreError for a damaged
    file, or one that holds what no store holds, InputError where both are the same.
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
        for batch in batches(source):
            with into.transaction():
                differing = _take(into, batch, counts)
            first = first or differing
            advance(len(batch))
        _take_counts(into, source, name)
    return Merged(**counts, first_conflict=first)


def _name(store: Store) -> str:
    """What a store is called by the stores it was merged into, whatever its file is called.

    A store that cannot be written to and has no name yet is called by its content.
    """
    if store.read_only:
        with store.explained():
            execute = store.connection.execute
            named = execute("SELECT 1 FROM sqlite_schema WHERE name = 'name'").fetchone()
            row = execute("SELECT value FROM name").fetchone() if named else None
        return str(row[0]) if row else f"read-only {file_digest(store.path)}"
    with store.transaction():
        store.connection.execute(_NAME)
        row = store.connection.execute("SELECT value FROM name").fetchone()
        if row is None:
            row = (secrets.token_hex(16),)
            store.connection.execute("INSERT INTO name VALUES (?)", row)
    return str(row[0])


def _take(into: Store, batch: list[Stored], counts: dict[str, int]) -> str | None:
    """Add what is new of a batch; returns the key of its first conflict."""
    there = into.get_many(one.key.hex() for one in batch)
    first: str | None = None
    for one in batch:
        known = there.get(one.key.hex())
        other_text = known is not None and None not in (known.text, one.text) and known.text != one.text
        values = known.log_probs if known else {}
        other_values = sum(values.get(answer, value) != value for answer, value in one.log_probs.items())
        counts["added"] += known is None
        counts["conflicts"] += other_text
        counts["conflicting_log_probs"] += other_values
        if first is None and (other_text or other_values):
            first = one.key.hex()
    counts["read"] += len(batch)
    into.add_stored(Counter(one.origin for one in batch if one.key.hex() not in there))
    many = into.connection.executemany
    many(
        "INSERT INTO completions VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET text = excluded.text WHERE text IS NULL",
        ((one.key, one.text, one.origin) for one in batch),
    )
    many(
        "INSERT INTO log_probs VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        ((one.key, answer, value) for one in batch for answer, value in one.log_probs.items()),
    )
    taken = [one for one in batch if one.key.hex() not in there or there[one.key.hex()].text is None]
    many("INSERT OR IGNORE INTO truncated VALUES (?)", ((one.key,) for one in taken if one.truncated))
    for table in ("failures", "failing"):
        many(f"DELETE FROM {table} WHERE key = ?", ((one.key,) for one in batch))
    return first


def _take_counts(into: Store, source: Store, name: str) -> None:
    with source.explained():
        calls = source.connection.execute("SELECT origin, count FROM calls").fetchall()
        failures = source.connection.execute("SELECT key, reason, count FROM failures").fetchall()
        failing = source.connection.execute("SELECT key, origin FROM failing").fetchall()
    with into.transaction():
        for origin, count in calls:
            into.connection.execute(
                "INSERT INTO calls VALUES (?, ?) ON CONFLICT (origin) DO UPDATE SET count = count + excluded.count",
                (origin, _owed(into, (name, "calls", origin), count)),
            )
        for key, reason, count in failures:
            owed = _owed(into, (name, "failures", f"{key.hex()} {reason}"), count)
            into.connection.execute(
                "INSERT INTO failures SELECT ?1, ?2, ?3 WHERE ?3 > 0 "
                "AND NOT EXISTS (SELECT 1 FROM completions WHERE key = ?1) "
                "ON CONFLICT (key, reason) DO UPDATE SET count = count + excluded.count",
                (key, reason, owed),
            )
        into.connection.executemany(
            "INSERT OR IGNORE INTO failing SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM failures WHERE key = ?1)", failing
        )


def _owed(into: Store, item: tuple[str, str, str], count: int) -> int:
    """How much of a count has not been taken yet; from now on all of it has."""
    execute = into.connection.execute
    row = execute("SELECT count FROM taken WHERE source = ? AND kind = ? AND item = ?", item).fetchone()
    before = row[0] if row else 0
    if before > count:
        raise StoreError(f"{into.path}: has taken {before} {item[1]} of {item[2]}, but the source has {count}")
    execute("INSERT OR REPLACE INTO taken VALUES (?, ?, ?, ?)", (*item, count))
    return int(count - before)
