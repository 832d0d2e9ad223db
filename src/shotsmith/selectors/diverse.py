"""Similar to the query but not to each other: maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shotsmith.embeddings.embedded import Floats
from shotsmith.embeddings.nearest import Rows
from shotsmith.records import Sequence
from shotsmith.selectors.protocol import Tasks
from shotsmith.selectors.similar import by_both, nearest, rounded, rows_at


@dataclass(frozen=True, slots=True)
class Diverse:
    """Takes one candidate after the other, each the best by relevance less redundancy.

    Candidate c scores weight * s(query, c) - (1 - weight) * max s(chosen, c), where s is the sum of the cosines of
    image and question; the `among` candidates most similar to the query take part. What was chosen first stands next
    to the query.
    """

    weight: float = 0.5
    among: int = 128
    name: str = "diverse"

    def select(self, tasks: Tasks, shots: int) -> list[Sequence]:
        """One sequence per query; ties go to the more similar candidate."""
        among = nearest(tasks, by_both, max(self.among, shots))
        return [self._sequence(tasks, query, positions, shots) for query, positions in enumerate(among)]

    def _sequence(self, tasks: Tasks, query: int, positions: Rows, shots: int) -> Sequence:
        candidates = by_both(tasks.index_embeddings.rows(rows_at(tasks, query, positions)))
        wanted = by_both(tasks.query_embeddings.rows(np.array([query], dtype=np.int64)))
        relevance: Floats = np.asarray(sum(side @ one[0] for side, one in zip(candidates, wanted, strict=True)))
        redundancy = np.full(len(positions), -np.inf)
        chosen: list[int] = []
        for _ in range(min(shots, len(positions))):
            cost = (1 - self.weight) * redundancy if chosen else 0.0
            scores = rounded(self.weight * relevance - cost)
            scores[chosen] = -np.inf
            best = int(np.argmax(scores))
            chosen.append(best)
            redundancy = np.maximum(redundancy, np.asarray(sum(side @ side[best] for side in candidates)))
        return tuple(positions[chosen[::-1]].tolist())
