"""The candidates most similar to the query, of its pool or of the whole bank.

By image: RICES (Yang et al. 2022, arXiv 2109.05014; Alayrac et al. 2022, arXiv 2204.14198).
By image and question: after MMICES (Chen et al. 2023, arXiv 2311.18021).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shotsmith.encoders.embedded import Embedded, Floats
from shotsmith.records import Sequence
from shotsmith.samplers.mixed import mixed_similarity
from shotsmith.samplers.similar import image_similarity, most_similar, most_similar_allowed, text_similarity
from shotsmith.selectors.protocol import Tasks

Similarity = Callable[[Embedded, Embedded], Floats]
"""(one query, as one row; N candidates) -> [N]."""


@dataclass(frozen=True, slots=True)
class Similar:
    """The most similar candidates, the most similar of all next to the query ('last') or farthest from it ('first')."""

    name: str
    similarity: Similarity
    place_best: Literal["last", "first"] = "last"

    def select(self, tasks: Tasks, shots: int) -> list[Sequence]:
        """One sequence per query; ties go to the lower position in the pool."""
        return [self._sequence(tasks, row, shots) for row in range(len(tasks.queries))]

    def _sequence(self, tasks: Tasks, row: int, shots: int) -> Sequence:
        query = tasks.query_embeddings.rows(np.array([row], dtype=np.int64))
        if tasks.pools is None:
            barred = tasks.barred_from(row)
            count = min(shots, len(tasks.index) - len(barred))
            best = most_similar_allowed(self.similarity(query, tasks.index_embeddings), barred, count).tolist()
        else:
            similarities = self.similarity(query, tasks.index_embeddings.rows(tasks.pools[row]))
            best = most_similar(similarities, min(shots, len(similarities))).tolist()
        return tuple(reversed(best)) if self.place_best == "last" else tuple(best)


def nearest_candidates(tasks: Tasks, row: int, size: int) -> list[int]:
    """What a search over sequences may try for a query, the most similar (by both cosines) first.

    Every position of its pool, or the `size` most similar rows of the bank that are not barred.
    """
    query = tasks.query_embeddings.rows(np.array([row], dtype=np.int64))
    if tasks.pools is not None:
        similarities = mixed_similarity(query, tasks.index_embeddings.rows(tasks.pools[row]))
        positions: list[int] = most_similar(similarities, len(similarities)).tolist()
        return positions
    barred = tasks.barred_from(row)
    size = min(size, len(tasks.index) - len(barred))
    rows: list[int] = most_similar_allowed(mixed_similarity(query, tasks.index_embeddings), barred, size).tolist()
    return rows


def image_similar() -> Similar:
    """RICES: by the cosine of the images."""
    return Similar("image_similar", image_similarity)


def text_similar() -> Similar:
    """By the cosine of the questions."""
    return Similar("text_similar", text_similarity)


def mixed() -> Similar:
    """By the sum of both cosines."""
    return Similar("mixed", mixed_similarity)
