"""How well a bank covers what is asked: entries near queries, and regions of queries that lack examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotsmith.embeddings.embedded import Embedded
from shotsmith.records import Example

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

NEAREST = 10
"""An entry is near a query if it is as similar as the tenth most similar entry is to the median query."""
PER_REGION = 40
MOST_REGIONS = 30
FEWEST = 8
"""Queries below which a region is not reported."""
_ROUNDS = 25
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Region:
    """Queries that resemble each other."""

    queries: tuple[int, ...]
    """Ids, the most central first."""
    accuracy: float
    """Mean score of its queries, in the unit given."""
    low: float
    """The mean minus and plus 1.96 standard errors over queries."""
    high: float
    near: float
    """Mean number of entries of the bank near a query."""
    questions: tuple[str, ...]
    """The most common questions."""
    lacking: bool
    """Whether the accuracy is below that of all queries (by the whole interval) and there are fewer near entries than
    at the median query."""


def near_entries(queries: Embedded, bank: Embedded, usable: npt.NDArray[np.bool_]) -> Rows:
    """Count the usable entries near each query, by the sum of image and question cosine."""
    kept = np.flatnonzero(usable)
    nearest = min(NEAREST, len(kept))
    if not nearest:
        return np.zeros(len(queries.questions), dtype=np.int64)
    entries = bank.rows(kept)
    highest = [np.partition(block, -nearest, axis=1)[:, -nearest] for block in _cosines(queries, entries)]
    threshold = float(np.median(np.concatenate(highest)))
    counts = [(block >= threshold).sum(axis=1) for block in _cosines(queries, entries)]
    return np.concatenate(counts).astype(np.int64)


def regions(
    queries: Sequence[Example], embedded: Embedded, scores: Floats, near: Rows, *, seed: int = 0
) -> list[Region]:
    """Cut queries into regions (k-means on joined embeddings), the least accurate first."""
    if len(queries) < FEWEST:
        return []
    vectors = embedded.joined.astype(np.float64)
    count = int(np.clip(round(len(queries) / PER_REGION), 1, MOST_REGIONS))
    nearest, distances = _k_means(vectors, count, np.random.default_rng(seed))
    overall, usual = float(scores.mean()), float(np.median(near))
    found = []
    for number in range(count):
        rows = np.flatnonzero(nearest == number)
        if len(rows) < FEWEST:
            continue
        rows = rows[np.argsort(distances[rows], kind="stable")]
        members = [queries[row] for row in rows.tolist()]
        mean, error = float(scores[rows].mean()), float(scores[rows].std(ddof=1)) / len(rows) ** 0.5
        common = Counter(query.question for query in members).most_common(3)
        high, support = mean + 1.96 * error, float(near[rows].mean())
        found.append(
            Region(
                tuple(query.id for query in members),
                *(mean, mean - 1.96 * error, high, support),
                tuple(question for question, _ in common),
                high < overall and support < usual,
            )
        )
    return sorted(found, key=lambda region: region.accuracy)


def _cosines(queries: Embedded, bank: Embedded) -> Iterator[npt.NDArray[np.float32]]:
    for start in range(0, len(queries.questions), _BLOCK):
        cosines = queries.questions[start : start + _BLOCK] @ bank.questions.T
        if queries.has_images:
            cosines = cosines + queries.images[start : start + _BLOCK] @ bank.images.T
        yield cosines


def _k_means(vectors: Floats, count: int, generator: np.random.Generator) -> tuple[Rows, Floats]:
    """The cluster of each vector and its squared distance from the centre; centres start as k-means++ draws them."""
    centres = vectors[generator.integers(len(vectors), size=1)]
    for _ in range(count - 1):
        distances = _squared(vectors, centres).min(axis=1)
        total = distances.sum()
        chance = distances / total if total > 0 else None
        centres = np.concatenate([centres, vectors[generator.choice(len(vectors), 1, p=chance)]])
    for _ in range(_ROUNDS):
        nearest = _squared(vectors, centres).argmin(axis=1)
        moved = np.array(
            [
                vectors[nearest == number].mean(axis=0) if (nearest == number).any() else centres[number]
                for number in range(count)
            ]
        )
        if np.allclose(moved, centres):
            break
        centres = moved
    distances = _squared(vectors, centres)
    return distances.argmin(axis=1).astype(np.int64), distances.min(axis=1)


def _squared(vectors: Floats, centres: Floats) -> Floats:
    lengths = (vectors**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)
    return np.asarray(np.maximum(lengths - 2 * vectors @ centres.T, 0))
