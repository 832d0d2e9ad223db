"""How sure a figure is: bootstrap intervals over queries, paired permutation tests, Holm's correction.

Everything here takes one value per query, [Q], or one per seed and query, [S, Q]. Values of several seeds are averaged
per query first, and queries are what is resampled: the interval says how much the figure would move with *other
queries*, the trained seeds given. It says nothing about training again. With `resample_seeds` the seeds are resampled
too, independently of the queries; with a handful of seeds that is rough, and errs on the narrow side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from shotsmith.errors import InputError

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

PERMUTATIONS = 4999
"""Random sign flips of a permutation test: the smallest p it can give is 2 / 5000."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over `n` queries and its confidence interval, in the unit of the values."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference over the same `n` queries, its confidence interval, and the p-value of 'no difference'."""

    difference: float
    low: float
    high: float
    p: float
    n: int


def mean_interval(
    values: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    resample_seeds: bool = False,
) -> Interval:
    """The mean of `values` ([Q] or [S, Q]) with its percentile-bootstrap interval (Efron, 1979).

    The same `seed` draws the same queries for every call with as many queries, so that intervals of selectors
    compared on the same queries can be laid side by side. Raises InputError for fewer than two queries (or seeds,
    where they are resampled), and for values that are not finite numbers.
    """
    table = _table(values)
    low, high = _bootstrap(table, confidence, resamples, seed, resample_seeds)
    return Interval(float(table.mean(axis=0).mean()), low, high, table.shape[1])


def paired_difference(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    resample_seeds: bool = False,
) -> Difference:
    """The mean of `a - b` over the same queries, with interval and two-sided p-value.

    Shapes are [Q] or [S, Q]; [Q] stands beside every seed of the other. Query and seed of a row are paired. p comes
    from exchanging a and b query by query at random (exact where there are few queries). Raises InputError as
    `mean_interval` does, and for numbers of queries or seeds that do not fit each other.
    """
    table_a, table_b = _table(a), _table(b)
    if table_a.shape[1] != table_b.shape[1]:
        raise InputError(f"{table_a.shape[1]} and {table_b.shape[1]} queries cannot be paired")
    if table_a.shape[0] != table_b.shape[0] and 1 not in (table_a.shape[0], table_b.shape[0]):
        raise InputError(f"{table_a.shape[0]} and {table_b.shape[0]} seeds cannot be paired")
    table = table_a - table_b
    low, high = _bootstrap(table, confidence, resamples, seed, resample_seeds)
    per_query = table.mean(axis=0)
    p = _sign_flip_p(per_query, permutations, seed)
    return Difference(float(per_query.mean()), low, high, p, table.shape[1])


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p-values adjusted for having looked at all of them (Holm, 1979), in the order given.

    Calling those at or below alpha real keeps the chance of even one false claim at or below alpha. Raises
    InputError for values outside 0 to 1.
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise InputError(f"p-values lie between 0 and 1: {list(p_values)}")
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = largest
    return tuple(adjusted)


def _table(values: npt.ArrayLike) -> Floats:
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if table.ndim != 2 or table.shape[0] == 0:
        raise InputError(f"values have the shape {np.shape(values)} and not [queries] or [seeds, queries]")
    if table.shape[1] < 2:
        raise InputError(f"an interval needs at least 2 queries, not {table.shape[1]}")
    if not np.isfinite(table).all():
        raise InputError("a value is not a finite number", row=int(np.argwhere(~np.isfinite(table))[0][1]))
    return table


def _bootstrap(
    table: Floats, confidence: float, resamples: int, seed: int, resample_seeds: bool
) -> tuple[float, float]:
    per_query = table.mean(axis=0)
    if resample_seeds and len(table) < 2:
        raise InputError(f"resampling seeds needs at least 2 of them, not {len(table)}")
    if np.ptp(table if resample_seeds else per_query) == 0:
        return float(per_query.mean()), float(per_query.mean())  # every resample has this mean

    def crossed_mean(seeds: Indices, queries: Indices, axis: int = -1) -> Floats:
        """Means over resampled seeds [..., S] and, independently, resampled queries [..., Q]."""
        return np.asarray(table[seeds[..., :, None], queries[..., None, :]].mean(axis=(-2, -1)))

    result = stats.bootstrap(
        tuple(np.arange(size) for size in table.shape) if resample_seeds else (per_query,),
        crossed_mean if resample_seeds else np.mean,
        n_resamples=resamples,
        batch=100,
        vectorized=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _sign_flip_p(differences: Floats, permutations: int, seed: int) -> float:
    # Exchanging equal values changes nothing: leaving ties out gives the same p sooner.
    untied = differences[differences != 0]
    if len(untied) < 2:
        return 1.0  # both signs of a single difference are equally extreme
    result = stats.permutation_test(
        (untied,),
        np.mean,
        permutation_type="samples",
        n_resamples=permutations,
        batch=500,
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)
