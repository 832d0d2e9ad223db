"""Where in the pool a policy points: how similar to the query the demonstrations are that it chooses."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotsmith.encoders.embedded import Embedded
from shotsmith.reports.data import Pointing


@dataclass(frozen=True, slots=True)
class Chosen:
    """Queries, their pools, and which rows of the index were chosen for them."""

    queries: Embedded
    """[Q, ...]."""
    index: Embedded
    """[N, ...]."""
    pools: npt.NDArray[np.int64]
    """[Q, P]: rows of the index."""
    rows: Many[Many[int]]
    """Per query: rows of the index; such as are not in its pool are not counted."""


def pointing(chosen: Chosen) -> tuple[Pointing, ...]:
    """Ranks of the chosen candidates among their pool, by image similarity (where there are images) and by text's."""
    by_text = Pointing("text_similarity", _counts(chosen.queries.questions, chosen.index.questions, chosen))
    if not chosen.index.has_images:
        return (by_text,)
    return Pointing("image_similarity", _counts(chosen.queries.images, chosen.index.images, chosen)), by_text


def _counts(queries: npt.NDArray[np.float32], index: npt.NDArray[np.float32], chosen: Chosen) -> tuple[int, ...]:
    counts = np.zeros(chosen.pools.shape[1], dtype=np.int64)
    for vector, pool, rows in zip(queries, chosen.pools, chosen.rows, strict=True):
        ranked = pool[np.argsort(-(index[pool] @ vector), kind="stable")]
        rank_of = {row: rank for rank, row in enumerate(ranked.tolist())}
        np.add.at(counts, [rank_of[row] for row in rows if row in rank_of], 1)
    return tuple(int(count) for count in counts)
