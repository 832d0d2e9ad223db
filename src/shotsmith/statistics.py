"""How sure a figure is: bootstrap intervals, paired permutation tests, Holm's correction, what can be detected at all.

Values are one per query, [Q], or one per training seed and query, [S, Q]. A claim about a method is one about other
queries *and* other trainings, so where there are two seeds or more, an interval resamples both, independently of each
other (the two-way bootstrap of Owen 2007, arXiv 0710.2754). `resample_seeds=False` resamples queries only: how much
the figure would move with other queries, these very policies given. With a handful of seeds their part is rough and
errs on the narrow side: its variance comes out (S - 1) / S of what it is.

A p-value comes from exchanging queries, values averaged over the seeds first, which says whether *these* trained
policies differ. Exchanging S seeds as well could not give a p below 2 / 2^S; instead, where seeds vary, p is not below
that of a t test whose variance has both levels (a two-way random-effects analysis, degrees of freedom after
Satterthwaite 1946). What was trained once only has no variance between trainings that could be counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from shotsmith.errors import InputError

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Seeds = Literal["paired", "independent"]

PERMUTATIONS = 4999
"""Random sign flips of a permutation test."""
REFINED_BELOW = 0.01
"""p-values up to this are estimated again from sign flips drawn where they matter (see `sign_flip_p`)."""

_TILTED = 4000
"""Sign flips drawn to estimate a small p-value, which leaves a relative standard error of about 3 %."""
_BATCH = 1000
"""Sign flips at a time, which bounds memory."""


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
    error: float
    """Its standard error, over queries and, where they vary, over seeds."""
    freedom: float
    """Degrees of freedom of `error`: n - 1 unless seeds vary."""


def mean_interval(
    values: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    resample_seeds: bool | None = None,
) -> Interval:
    """The mean of `values` ([Q] or [S, Q]) with its percentile-bootstrap interval (Efron, 1979).

    Seeds are resampled beside the queries where there are several (`resample_seeds=None`), always, or never. The same
    `seed` draws the same queries for every call of that kind with as many queries, so that intervals of selectors
    compared on the same queries can be laid side by side. Raises InputError for fewer than two queries (or seeds,
    where they must be resampled), and for values that are not finite numbers.
    """
    table = _table(values)
    _check_seeds(resample_seeds, len(table))
    low, high = _bootstrap([table], confidence, resamples, seed, resample_seeds is not False)
    return Interval(float(table.mean(axis=0).mean()), low, high, table.shape[1])


def paired_difference(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    resample_seeds: bool | None = None,
    seeds: Seeds = "paired",
) -> Difference:
    """The mean of `a - b` over the same queries, with interval and two-sided p-value.

    Shapes are [Q] or [S, Q]. Seeds are 'paired' where row s of both sides has seed s in common, as phases of one run
    have; [Q] then stands beside every seed of the other. Trainings of different runs are 'independent': each side may
    have its own number of them, and they are resampled apart. `resample_seeds=False` takes the seeds as given, in
    the interval and in p. Raises InputError as `mean_interval` does, and for
    numbers of queries or paired seeds that do not fit each other.
    """
    table_a, table_b = _table(a), _table(b)
    if table_a.shape[1] != table_b.shape[1]:
        raise InputError(f"{table_a.shape[1]} and {table_b.shape[1]} queries cannot be paired")
    _check_seeds(resample_seeds, max(len(table_a), len(table_b)))
    if seeds == "independent":
        parts = [table_a, -table_b]
    elif len(table_a) == len(table_b) or 1 in (len(table_a), len(table_b)):
        parts = [table_a - table_b]
    else:
        raise InputError(f"{len(table_a)} and {len(table_b)} seeds cannot be paired")
    low, high = _bootstrap(parts, confidence, resamples, seed, resample_seeds is not False)
    per_query = table_a.mean(axis=0) - table_b.mean(axis=0)
    (p,) = sign_flip_p(per_query, permutations=permutations, seed=seed)
    error, freedom = _two_level_error(per_query, [] if resample_seeds is False else parts)
    if freedom < len(per_query) - 1:  # seeds vary
        p = max(p, 2 * stats.t.sf(abs(per_query.mean()) / error, freedom))
    return Difference(float(per_query.mean()), low, high, float(p), table_a.shape[1], error, freedom)


def sign_flip_p(differences: npt.ArrayLike, *, permutations: int = PERMUTATIONS, seed: int = 0) -> Floats:
    """Two-sided p-values [C] of paired differences [Q] or [C, Q] having mean 0, by exchanging both sides of queries.

    That of `scipy.stats.permutation_test` with `permutation_type="samples"`: exact where there are no more than
    `permutations` ways of turning the signs, else from that many random ones, drawn once for all C rows, whose
    permuted means are one matrix product. Random flips cannot tell p-values far below 1 / permutations apart, which
    Holm's correction then multiplies by the number of rows. A p up to REFINED_BELOW is therefore estimated by
    importance sampling (Mehta, Patel and Senchaudhuri 1988, JASA 83, 999-1005): signs are drawn so that sums as large
    as the observed one are common, and weighted by how likely they are under equal chances. It is unbiased for the
    p of all sign flips.
    """
    table = _table(differences)
    p_values = np.ones(len(table))
    # Exchanging equal values changes nothing: only the others count towards what can be enumerated.
    untied_of = np.count_nonzero(table, axis=1)
    exact = untied_of <= np.log2(permutations)
    for row in np.flatnonzero(exact & (untied_of > 0)):
        untied = table[row][table[row] != 0]
        signs = np.array(list(product((1.0, -1.0), repeat=len(untied))))
        p_values[row] = _two_sided(signs @ untied[:, None], untied.sum(keepdims=True), spare=0)[0]
    if not exact.all():
        rest = table[~exact]
        generator = np.random.default_rng(seed)
        sums = [_random_signs(generator, count, rest.shape[1]) @ rest.T for count in _batches(permutations)]
        p_values[~exact] = _two_sided(np.concatenate(sums), rest.sum(axis=1), spare=1)
    for row in np.flatnonzero(~exact & (p_values <= REFINED_BELOW)):
        p_values[row] = _small_p(table[row], p_values[row], np.random.default_rng(seed))
    return p_values


def _small_p(differences: Floats, rough: float, generator: np.random.Generator) -> float:
    """The share of all sign flips of `differences` [Q] whose sum is as far from 0 as theirs; `rough` if none is drawn.

    The sign of d is drawn positive with probability 1 / (1 + exp(-2 tilt d)), where the tilt makes the observed sum
    the expected one; a draw with sum S counts prod cosh(tilt d) exp(-tilt S).
    """
    sizes = np.abs(differences[differences != 0])
    observed, total = abs(float(differences.sum())), float(sizes.sum())
    scaled = sizes / sizes.max()
    target = min(observed, 0.99 * total) / sizes.max()
    tilt = optimize.brentq(lambda t: float((scaled * np.tanh(t * scaled)).sum()) - target, 0.0, 1e6)
    positive = generator.random((_TILTED, len(scaled)), dtype=np.float32) < 1 / (1 + np.exp(-2 * tilt * scaled))
    sums = 2 * (positive @ scaled) - scaled.sum()
    reached = sums >= observed / sizes.max() - 1e-9 * scaled.sum()
    if not reached.any():
        return rough
    log_cosh = float(np.logaddexp(tilt * scaled, -tilt * scaled).sum() - len(scaled) * np.log(2))
    return float(min(1.0, 2 * np.exp(log_cosh - tilt * sums[reached]).sum() / len(sums)))


def detection_power(
    difference: float, std: float, n: int, *, alpha: float = 0.05, freedom: float | None = None
) -> float:
    """How often a two-sided paired t test at level alpha finds a true mean difference, over many sets of n queries.

    `std` is the standard deviation of the paired differences, in the unit of `difference`; where seeds vary, it is
    the standard error over both levels times sqrt(n), with its degrees of `freedom` (n - 1 otherwise). The
    permutation test's power is the same but for small n. Raises InputError for fewer than two queries or a negative
    `std`.
    """
    _check_sample(std, n)
    if difference == 0 or std == 0:
        return 1.0 if difference else alpha
    freedom = n - 1 if freedom is None else freedom
    critical = stats.t.isf(alpha / 2, freedom)
    return float(stats.ncf.sf(critical**2, 1, freedom, n * (difference / std) ** 2))


def smallest_detectable(
    std: float, n: int, *, alpha: float = 0.05, power: float = 0.8, freedom: float | None = None
) -> float:
    """The smallest true difference that `n` queries show with probability `power`, in the unit of `std`.

    About (z(1 - alpha / 2) + z(power)) * std / sqrt(n), with Student's distribution in place of the normal one;
    `std` and `freedom` are those of `detection_power`. Raises InputError as `detection_power` does, and for a
    `power` that is not below 1.
    """
    _check_sample(std, n)
    if not power < 1:
        raise InputError(f"no difference is detected with a probability of {power}")
    if std == 0 or power <= alpha:
        return 0.0

    def missing(size: float) -> float:
        return power - detection_power(size, std, n, alpha=alpha, freedom=freedom)

    largest = std / n**0.5
    while missing(largest) > 0:
        largest *= 2
    return float(optimize.brentq(missing, 0.0, largest))


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


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p-values adjusted for a false discovery rate (Benjamini and Hochberg, 1995), in the order given.

    Calling those at or below alpha real keeps the expected share of false claims among them at or below alpha where
    the tests are independent or positively dependent. Raises InputError for values outside 0 to 1.
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise InputError(f"p-values lie between 0 and 1: {list(p_values)[:10]}")
    adjusted = [1.0] * len(p_values)
    smallest = 1.0
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for rank, position in reversed(list(enumerate(order, start=1))):
        smallest = min(smallest, p_values[position] * len(p_values) / rank)
        adjusted[position] = smallest
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


def _check_sample(std: float, n: int) -> None:
    if n < 2 or not 0 <= std < np.inf:
        raise InputError(f"power needs at least 2 queries and a standard deviation, not {n} and {std}")


def _check_seeds(resample_seeds: bool | None, seeds: int) -> None:
    if resample_seeds and seeds < 2:
        raise InputError(f"resampling seeds needs at least 2 of them, not {seeds}")


def _bootstrap(
    parts: list[Floats], confidence: float, resamples: int, seed: int, resample_seeds: bool
) -> tuple[float, float]:
    """The interval of the sum of the parts' means; parts [S, Q] share their queries and have seeds of their own."""
    varied = [part for part in parts if resample_seeds and np.ptp(part, axis=0).any()]
    fixed = np.sum([part.mean(axis=0) for part in parts if not any(part is other for other in varied)], axis=0)
    fixed = np.broadcast_to(fixed, parts[0].shape[1])
    if not varied and np.ptp(fixed) == 0:
        return float(fixed.mean()), float(fixed.mean())  # every resample has this mean

    def resampled_mean(*indices: Indices, axis: int = -1) -> Floats:
        """Means over resampled queries [..., Q] and, independently of them, each varied part's resampled seeds."""
        *seeds, queries = indices
        per_query = sum((part[rows].mean(axis=-2) for part, rows in zip(varied, seeds, strict=True)), start=fixed)
        return np.asarray(np.take_along_axis(np.broadcast_to(per_query, queries.shape), queries, axis=-1).mean(axis=-1))

    result = stats.bootstrap(
        tuple(np.arange(size) for size in (*(len(part) for part in varied), len(fixed))),
        resampled_mean,
        n_resamples=resamples,
        batch=100,
        vectorized=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _two_level_error(per_query: Floats, parts: list[Floats]) -> tuple[float, float]:
    """Standard error of the mean of `per_query` [Q], and its degrees of freedom.

    Its variance is that between queries, and that between the seeds of each part [S, Q] as far as it exceeds what
    seeds and queries do together: this the variance between queries holds already.
    """
    queries = float(per_query.var(ddof=1)) / len(per_query)
    variance, spread = queries, queries**2 / (len(per_query) - 1)
    fewest = len(per_query) - 1.0
    for part in (part for part in parts if len(part) > 1):
        seeds, count = part.shape
        own = float(part.mean(axis=1).var(ddof=1)) / seeds
        both = part - part.mean(axis=0) - part.mean(axis=1, keepdims=True) + part.mean()
        shared = float((both**2).sum()) / ((seeds - 1) * (count - 1) * seeds * count)
        if own > shared:
            variance += own - shared
            spread += own**2 / (seeds - 1)
            fewest = min(fewest, seeds - 1.0)
    freedom = variance**2 / spread if variance > queries else np.inf
    return variance**0.5, min(max(freedom, fewest), len(per_query) - 1.0)


def _two_sided(permuted: Floats, observed: Floats, *, spare: int) -> Floats:
    """p [C] of permuted sums [P, C]; what is equal but for rounding is equal. `spare` counts what was observed."""
    margin = 1e-12 * np.abs(permuted).max(axis=0, initial=0)
    above = np.count_nonzero(permuted >= observed - margin, axis=0)
    below = np.count_nonzero(permuted <= observed + margin, axis=0)
    p: Floats = 2 * (np.minimum(above, below) + spare) / (len(permuted) + spare)
    return np.minimum(p, 1.0)


def _batches(permutations: int) -> list[int]:
    return [min(_BATCH, permutations - start) for start in range(0, permutations, _BATCH)]


def _random_signs(generator: np.random.Generator, rows: int, columns: int) -> Floats:
    """[rows, columns] of +-1."""
    packed = np.frombuffer(generator.bytes(rows * -(-columns // 8)), dtype=np.uint8).reshape(rows, -1)
    signs: Floats = np.array([1.0, -1.0])[np.unpackbits(packed, axis=1)[:, :columns]]
    return signs
