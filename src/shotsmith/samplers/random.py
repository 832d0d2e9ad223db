"""Candidates drawn at random, and the seeding that makes a draw a matter of one query only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shotsmith.encoders.embedded import Embedded
from shotsmith.files import digest

Rows = npt.NDArray[np.int64]


def seeded_generator(*parts: object) -> np.random.Generator:
    """A random generator that depends on these parts (by their text) and on nothing else."""
    return np.random.default_rng(int(digest(*(str(part) for part in parts))[:32], 16))


def draw_random(query_id: int, query: Embedded, index: Embedded, allowed: Rows, size: int, seed: int) -> Rows:
    """`size` of the allowed rows, in random order, without repetition."""
    return seeded_generator("pool", seed, query_id).choice(allowed, size, replace=False)
