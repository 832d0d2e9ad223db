"""The candidates most similar to the query, of its pool or of the whole bank.

By image: RICES (Yang et al. 2022, arXiv 2109.05014; Alayrac et al. 2022, arXiv 2204.14198). By question, and by both:
the sum of the two cosines. Cosines are rounded to five decimals before they are compared, and ties go to the lower
position, so that float noise decides nothing. Queries are searched in blocks, one product of matrices a block.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as ManyOf
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shotsmith.embeddings.embedded import Embedded, Floats
from shotsmith.embeddings.nearest import DECIMALS, Rows
from shotsmith.records import Sequence
from shotsmith.selectors.protocol import Tasks

Sides = Callable[[Embedded], tuple[Floats, ...]]
"""The embeddings [N, D] whose cosines are summed."""

_CELLS = 4_000_000
"""Similarities held at a time."""


def by_image(embedded: Embedded) -> tuple[Floats, ...]:
    """Compare images."""
    return (embedded.images,)


def by_text(embedded: Embedded) -> tuple[Floats, ...]:
    """Compare questions."""
    return (embedded.questions,)


def by_both(embedded: Embedded) -> tuple[Floats, ...]:
    """Compare images and questions."""
    return embedded.images, embedded.questions


@dataclass(frozen=True, slots=True)
class Similar:
    """The most similar candidates, the most similar of all next to the query ('last') or farthest from it ('first')."""

    name: str
    sides: Sides
    place_best: Literal["last", "first"] = "last"

    def select(self, tasks: Tasks, shots: int) -> list[Sequence]:
        """One sequence per query; ties go to the lower position."""
        found = nearest(tasks, self.sides, shots)
        step = -1 if self.place_best == "last" else 1
        return [tuple(best[::step].tolist()) for best in found]


def nearest(tasks: Tasks, sides: Sides, count: int, queries: ManyOf[int] | None = None) -> list[Rows]:
    """For each query (by default all) the positions of its `count` most similar candidates, the most similar first.

    Positions are those of the query's pool, or rows of the bank that are not barred; fewer where there are fewer.
    """
    wanted = np.arange(len(tasks.queries)) if queries is None else np.asarray(queries, dtype=np.int64)
    size = len(tasks.index) if tasks.pools is None else tasks.pools.shape[1]
    block = max(1, _CELLS // max(1, size))
    found: list[Rows] = []
    for start in range(0, len(wanted), block):
        rows = wanted[start : start + block]
        found += _highest(_similarities(tasks, sides, rows), count)
    return found


def nearest_candidates(tasks: Tasks, row: int, size: int) -> list[int]:
    """What a search over sequences may try for a query, the most similar (by both cosines) first.

    Every position of its pool, or the `size` most similar rows of the bank that are not barred.
    """
    count = size if tasks.pools is None else tasks.pools.shape[1]
    positions: list[int] = nearest(tasks, by_both, count, [row])[0].tolist()
    return positions


def rows_at(tasks: Tasks, query: int, positions: Rows) -> Rows:
    """The rows of the bank at some positions of a query."""
    rows: Rows = positions if tasks.pools is None else tasks.pools[query, positions]
    return rows


def rounded(similarities: Floats) -> Floats:
    """Similarities as they are compared."""
    values: Floats = np.round(similarities, DECIMALS)
    return values


def _similarities(tasks: Tasks, sides: Sides, rows: Rows) -> Floats:
    """[len(rows), K or N]; -inf where a row of the bank is barred from a query."""
    queries, index = sides(tasks.query_embeddings.rows(rows)), sides(tasks.index_embeddings)
    if tasks.pools is not None:
        pools = tasks.pools[rows]
        pairs = zip(queries, index, strict=True)
        return np.asarray(sum((side[pools] @ query[:, :, None])[..., 0] for query, side in pairs))
    total = np.asarray(sum(query @ side.T for query, side in zip(queries, index, strict=True)))
    for place, row in enumerate(rows):
        total[place, tasks.barred_from(int(row))] = -np.inf
    return total


def _highest(values: Floats, count: int) -> list[Rows]:
    """Columns of the `count` highest finite values of every row [B, N], highest first, ties to the lower column."""
    count = min(count, values.shape[1])
    if not count:
        return [np.empty(0, dtype=np.int64)] * len(values)
    lowest = np.partition(values, -count, axis=1)[:, -count]
    found = []
    for row, least in zip(values, lowest, strict=True):
        near = (
            np.flatnonzero(row >= least - 2 * 10.0**-DECIMALS) if np.isfinite(least) else np.flatnonzero(row > -np.inf)
        )
        found.append(near[np.argsort(-rounded(row[near]), kind="stable")][:count].astype(np.int64))
    return found


def image_similar() -> Similar:
    """RICES: by the cosine of the images."""
    return Similar("image_similar", by_image)


def text_similar() -> Similar:
    """By the cosine of the questions."""
    return Similar("text_similar", by_text)


def mixed() -> Similar:
    """By the sum of both cosines."""
    return Similar("mixed", by_both)
