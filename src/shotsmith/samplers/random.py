"""Candidates drawn at random, and the seeding that makes a draw a matter of one query only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shotsmith.files import digest

Rows = npt.NDArray[np.int64]


def seeded_generator(*parts: object) -> np.random.Generator:
    """A random generator that depends on these parts (by their text) and on nothing else."""
    return np.random.default_rng(int(digest(*(str(part) for part in parts))[:32], 16))


def draw_random(query_id: int, examples: int, barred: Rows, size: int, seed: int) -> Rows:
    """`size` of the rows 0 to `examples` - 1 but for the barred (ascending), in random order, without repetition."""
    chosen = seeded_generator("pool", seed, query_id).choice(examples - len(barred), size, replace=False)
    for row in barred:  # the numbers were drawn as if the barred rows were not there
        chosen[chosen >= row] += 1
    return chosen.astype(np.int64)
