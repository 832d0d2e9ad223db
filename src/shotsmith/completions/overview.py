"""What a store holds, counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shotsmith.completions.store import Store


@dataclass(frozen=True, slots=True)
class Overview:
    """A store's counts and sizes."""

    completions: int
    texts: int
    """Completions whose text was asked for."""
    truncated: int
    """Texts that a server cut off at the most tokens."""
    log_probs: int
    bytes: int
    """Size of the file, and of what is written beside it until it is taken in."""
    calls: Mapping[str, int]
    """VLM calls by the origin that paid for them."""
    failures: Mapping[str, int]
    """Failures by reason, of the prompts that still have no answer."""
    missing: Mapping[str, int]
    """Completions that are not there any more, by the origin that brought them."""


def overview(store: Store) -> Overview:
    """Count everything: this reads the whole file.

    Raises StoreError for a damaged one, or one that holds what no store holds.
    """
    store.verify()
    with store.explained():
        execute = store.connection.execute
        completions, texts = execute("SELECT count(*), count(text) FROM completions").fetchone()
        (truncated,) = execute("SELECT count(*) FROM truncated").fetchone()
        (log_probs,) = execute("SELECT count(*) FROM log_probs").fetchone()
        calls = dict(execute("SELECT origin, count FROM calls ORDER BY origin").fetchall())
    beside = store.path.with_name(f"{store.path.name}-wal")
    size = store.path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)
    return Overview(completions, texts, truncated, log_probs, size, calls, store.failures(), store.missing())
