"""All that a store holds, in the order of its keys, a bounded number of rows at a time, as it was at one moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from shotsmith.completions.store import Store

ROWS = 10_000
"""Rows held at a time."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One completion as it is stored."""

    key: bytes
    text: str | None
    origin: str
    """The stage that first paid for it."""
    log_probs: dict[str, float] = field(default_factory=dict)
    truncated: bool = False
    """Whether the text was cut off at the most tokens."""


@contextmanager
def snapshot(store: Store) -> Iterator[None]:
    """What is read within stays as it is now, whoever writes meanwhile; nobody is kept from writing."""
    with store.explained():
        store.connection.execute("BEGIN")
    try:
        yield
    finally:
        store.connection.execute("ROLLBACK")


def batches(store: Store, rows: int = ROWS) -> Iterator[list[Stored]]:
    """All completions with their log-probabilities, ordered by key. Raises StoreError for a damaged file."""
    last = b""
    while batch := _after(store, last, rows):
        yield batch
        last = batch[-1].key


def _after(store: Store, last: bytes, rows: int) -> list[Stored]:
    with store.explained():
        execute = store.connection.execute
        found = execute(
            "SELECT key, text, origin, EXISTS (SELECT 1 FROM truncated WHERE truncated.key = completions.key) "
            "FROM completions WHERE key > ? ORDER BY key LIMIT ?",
            (last, rows),
        )
        batch = {key: Stored(key, text, origin, {}, bool(cut)) for key, text, origin, cut in found}
        if batch:
            for key, answer, value in execute(
                "SELECT key, answer, value FROM log_probs WHERE key > ? AND key <= ?", (last, next(reversed(batch)))
            ):
                batch[key].log_probs[answer] = value
    return list(batch.values())
