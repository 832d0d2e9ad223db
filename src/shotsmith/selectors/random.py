"""Demonstrations drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

from shotsmith.embeddings.pools import seeded_generator
from shotsmith.records import Sequence
from shotsmith.selectors.protocol import Tasks


@dataclass(frozen=True, slots=True)
class Random:
    """A random order of each pool or of the bank, cut to the number of shots. `draw` tells repeated draws apart."""

    seed: int = 0
    draw: int = 0
    name: str = "random"

    def select(self, tasks: Tasks, shots: int) -> list[Sequence]:
        """One sequence per query; fewer shots give a prefix of what more give."""
        if tasks.pools is None:
            return [self._from_bank(tasks, row, shots) for row in range(len(tasks.queries))]
        size = tasks.pools.shape[1]
        return [
            tuple(seeded_generator("selector", self.seed, self.draw, query.id).permutation(size)[:shots].tolist())
            for query in tasks.queries
        ]

    def _from_bank(self, tasks: Tasks, row: int, shots: int) -> Sequence:
        generator = seeded_generator("selector", self.seed, self.draw, tasks.queries[row].id)
        barred = set(tasks.barred_from(row).tolist())
        shots = min(shots, len(tasks.index) - len(barred))
        chosen: dict[int, None] = {}
        while len(chosen) < shots:
            if (number := int(generator.integers(len(tasks.index)))) not in barred:
                chosen.setdefault(number)
        return tuple(chosen)
