"""Where in the pool or the bank a policy points: how similar to the query the demonstrations are that it chooses."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotsmith.embeddings.embedded import Embedded
from shotsmith.reports.data import Pointing

BANDS = 64
"""Equal parts that the ranks among a whole bank are counted in."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Queries, their pools, and which rows of the index were chosen for them."""

    queries: Embedded
    """[Q, ...]."""
    index: Embedded
    """[N, ...]."""
    pools: npt.NDArray[np.int64] | None
    """[Q, P]: rows of the index. None: every query chooses from the whole index."""
    rows: Many[Many[int]]
    """Per query: rows of the index; such as are not in its pool are not counted."""


def pointing(chosen: Chosen) -> tuple[Pointing, ...]:
    """Ranks of the chosen candidates among their pool, by image similarity (where there are images) and by text's."""
    size = len(chosen.index.questions) if chosen.pools is None else 0
    by_text = Pointing("text_similarity", _counts(chosen.queries.questions, chosen.index.questions, chosen), size)
    if not chosen.index.has_images:
        return (by_text,)
    return Pointing("image_similarity", _counts(chosen.queries.images, chosen.index.images, chosen), size), by_text


def _counts(queries: npt.NDArray[np.float32], index: npt.NDArray[np.float32], chosen: Chosen) -> tuple[int, ...]:
    """How often each rank was chosen, from the most similar on; of a whole index in BANDS equal parts."""
    size = len(index) if chosen.pools is None else chosen.pools.shape[1]
    counts = np.zeros(size if chosen.pools is not None else min(BANDS, size), dtype=np.int64)
    for query, (vector, rows) in enumerate(zip(queries, chosen.rows, strict=True)):
        similarities = index @ vector if chosen.pools is None else index[chosen.pools[query]] @ vector
        place = {row: row for row in rows}
        if chosen.pools is not None:
            place = {row: at for at, row in enumerate(chosen.pools[query].tolist())}
        ranks = [_rank(similarities, place[row]) for row in rows if row in place]
        np.add.at(counts, [rank * len(counts) // size for rank in ranks], 1)
    return tuple(int(count) for count in counts)


def _rank(similarities: npt.NDArray[np.float32], place: int) -> int:
    """How many candidates come before this one: more similar ones, and equal ones at lower places."""
    own = similarities[place]
    return int((similarities > own).sum() + (similarities[:place] == own).sum())
