"""Recorded rollouts drawn at random: what policy training is measured on, where only sizes matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from shotsmith.policies.inputs import InputsTable
from shotsmith.training.groups import Groups

WIDTH, POOL, INDEX, SHOTS = 768, 64, 2_000, 2
ACCURACIES = (0.0, 0.3, 0.6, 0.9, 1.0)


@dataclass(frozen=True)
class Shape:
    """How much is drawn: so many queries with `fewest` to `most` sequences each."""

    queries: int
    fewest: int = 11
    most: int = 40


def draw_inputs(shape: Shape) -> InputsTable:
    """Embeddings of unit length, and a pool of different demonstrations for every query."""
    rng = np.random.default_rng(0)
    return InputsTable(
        unit_vectors(rng, shape.queries), unit_vectors(rng, INDEX), draw_pools(rng, shape.queries, INDEX)
    )


def unit_vectors(rng: np.random.Generator, count: int) -> np.ndarray:
    """[count, WIDTH] float32."""
    vectors = rng.standard_normal((count, WIDTH), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def draw_pools(rng: np.random.Generator, queries: int, index: int) -> np.ndarray:
    """[queries, POOL] rows of an index of that size: steps below index / POOL never meet."""
    steps = rng.integers(1, index // POOL, size=(queries, POOL))
    return (rng.integers(index, size=(queries, 1)) + steps.cumsum(axis=1)) % index


def draw_groups(shape: Shape) -> Groups:
    """Sequences of two different demonstrations, with accuracies as rewards."""
    rng = np.random.default_rng(1)
    sizes = rng.integers(shape.fewest, shape.most, size=shape.queries, endpoint=True)
    there = np.arange(shape.most) < sizes[:, None]
    first = rng.integers(POOL, size=there.shape)
    second = (first + rng.integers(1, POOL, size=there.shape)) % POOL
    valid = torch.from_numpy(there)
    return Groups(
        rows=torch.arange(shape.queries),
        sequences=torch.from_numpy(np.stack([first, second], axis=-1)).masked_fill(~valid[..., None], -1),
        values=torch.from_numpy(rng.choice(np.float32(ACCURACIES), size=there.shape)).masked_fill(~valid, 0.0),
        valid=valid,
        behaviour=torch.full(there.shape, torch.nan),
        weights=torch.ones(there.shape),
    )
