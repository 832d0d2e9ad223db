"""Whether all that the VLM has answered in a run is one text."""

from __future__ import annotations

from shotsmith.completions.failed import origin_prefix
from shotsmith.completions.store import Store
from shotsmith.errors import StoreError
from shotsmith.metrics.vqa import normalise
from shotsmith.runs import Run

FEWEST = 200
"""Texts from which on this is no coincidence."""
_SPELLINGS = 20
"""Texts that are compared: so many spellings of one answer there can be."""


def sole_text(store: Store, origin_prefix: str = "") -> tuple[str, int] | None:
    """The one text of all completions of the origins with this prefix, and their number.

    None where there are several texts or fewer than FEWEST completions.
    """
    ours = "text IS NOT NULL AND substr(origin, 1, length(?1)) = ?1"
    with store.explained():
        execute = store.connection.execute
        found = execute(
            f"SELECT DISTINCT text FROM completions WHERE {ours} LIMIT {_SPELLINGS}", (origin_prefix,)
        ).fetchall()
        if len({normalise(text) for (text,) in found}) != 1 or len(found) == _SPELLINGS:
            return None
        (total,) = execute(f"SELECT count(*) FROM completions WHERE {ours}", (origin_prefix,)).fetchone()
    return (found[0][0], total) if total >= FEWEST else None


def sole_text_of(run: Run) -> tuple[str, int] | None:
    """The same of a run, by its store; None also where that is not there or cannot be opened."""
    file = run.recipe.store or run.completions
    if not file.exists():
        return None
    try:
        with Store.open(file) as store:
            return sole_text(store, origin_prefix(run))
    except StoreError:
        return None
