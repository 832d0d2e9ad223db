"""The value of demonstrations: the score with one against the score without it, on the same queries.

Prompts of one query with as many demonstrations form a stratum. In stratum s, with n1 prompts that show an entry and n0
that do not, d_s is the difference of their mean scores and w_s = n1 n0 / (n1 + n0). The value of the entry is
sum w_s d_s / sum w_s: the coefficient of "shows the entry" in a regression with one constant per stratum. Difficult
queries and lengths of sequences therefore cancel. What it compares with is what else was tried for these queries; what
stands beside the entry in a prompt is averaged over.

The variance is the larger of two: that of a random exchange of the prompts of each stratum, sum n1 n0 / (n1 + n0) s^2
over strata (s^2 the variance of the scores in the stratum), and that between queries (cluster-robust, one cluster a
query). Intervals use Student's distribution with one degree of freedom fewer than queries. They are approximate for
entries shown to few queries.

p-values are of the permutation test that exchanges the prompts of each stratum, two-sided. Scores are rounded to
twentieths of their range, for which the distribution is exact in strata of up to 32 prompts; larger strata enter
with a normal distribution of the same mean and variance. Lists of helpful and harmful entries hold what remains at a
false discovery rate of 5 % after the procedure of Benjamini and Hochberg over all entries that can be tested.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from shotsmith.statistics import benjamini_hochberg
from shotsmith.worth.asked import AskedPrompt

Floats = npt.NDArray[np.float64]

_LEVELS = 20
_EXACT = 32
"""Prompts of a stratum up to which its permutation distribution is exact."""


@dataclass(frozen=True, slots=True)
class Value:
    """The value of one entry, in the unit of the scores given."""

    value: float
    low: float | None
    """Lower end of the 95 % interval; None where the entry was compared within fewer than two queries, and where all
    prompts of each query scored the same."""
    high: float | None
    p: float
    adjusted: float
    """p after Benjamini and Hochberg, over all entries that have a value."""
    queries: int
    """Queries that were asked both with and without it."""
    prompts: int
    """Prompts with it, among those compared."""


def values(prompts: Sequence[AskedPrompt], *, unit: Callable[[int], int] = lambda row: row) -> dict[int, Value]:
    """Estimate the value of every entry that some query was asked with and without, by its row of the bank.

    `unit` maps a row to what is judged: itself, or a group of entries; a prompt shows a
    group if it shows any of it. Negative units are not judged.
    """
    scored = [prompt.score for prompt in prompts]
    lowest, highest = min([0.0, *scored]), max([0.0, *scored])
    reach = highest - lowest or 1.0
    strata: dict[tuple[int, int], list[AskedPrompt]] = defaultdict(list)
    for prompt in prompts:
        if prompt.shown:
            strata[prompt.query, len(prompt.shown)].append(prompt)
    compared: dict[int, list[_Compared]] = defaultdict(list)
    for (query, _), members in strata.items():
        scores = np.array([prompt.score for prompt in members])
        mean, variance = float(scores.mean()), float(scores.var(ddof=1)) if len(members) > 1 else 0.0
        shown: dict[int, list[int]] = defaultdict(list)
        for place, prompt in enumerate(members):
            for judged in {unit(row) for row in prompt.shown}:
                shown[judged].append(place)
        levels = tuple(np.rint((scores - lowest) * _LEVELS / reach).astype(int).tolist())
        exchanged = () if len(set(levels)) == 1 else tuple(sorted(levels))
        for judged, places in shown.items():
            if judged >= 0 and len(places) < len(members):
                observed = sum(levels[place] for place in places), float(scores[places].sum()) - len(places) * mean
                compared[judged].append(_Compared(query, len(members), len(places), *observed, variance, exchanged))
    found = {judged: _estimate(some, reach) for judged, some in compared.items()}
    adjusted = benjamini_hochberg([p for *_, p in found.values()])
    return {
        judged: Value(value, low, high, p, q, len({one.query for one in compared[judged]}), _with(compared[judged]))
        for (judged, (value, low, high, p)), q in zip(found.items(), adjusted, strict=True)
    }


@dataclass(frozen=True, slots=True)
class _Compared:
    """One stratum in which some prompts show what is judged and others do not."""

    query: int
    prompts: int
    shown: int
    """How many of the prompts show it."""
    level: int
    """The sum of their levels (twentieths of the range of scores)."""
    excess: float
    """The sum of their scores beyond what as many prompts of the stratum have on average."""
    variance: float
    """Of the scores of the stratum."""
    levels: tuple[int, ...]
    """All levels of the stratum, ascending; empty where they are equal, as nothing can be exchanged then."""

    @property
    def weight(self) -> float:
        return self.shown * (self.prompts - self.shown) / self.prompts


def _with(compared: Sequence[_Compared]) -> int:
    return sum(one.shown for one in compared)


def _estimate(compared: Sequence[_Compared], reach: float) -> tuple[float, float | None, float | None, float]:
    weight = sum(one.weight for one in compared)
    value = sum(one.excess for one in compared) / weight
    exchanged = sum(one.weight * one.variance for one in compared) / weight**2
    by_query: dict[int, float] = defaultdict(float)
    for one in compared:
        by_query[one.query] += one.excess - value * one.weight
    count = len(by_query)
    p = _permutation_p(compared)
    if count < 2:
        return value, None, None, p
    between = sum(excess**2 for excess in by_query.values()) / weight**2 * count / (count - 1)
    variance = max(exchanged, between)
    if not variance:
        return value, None, None, p
    margin = float(stats.t.isf(0.025, count - 1)) * variance**0.5
    return value, max(value - margin, -reach), min(value + margin, reach), p  # no difference is larger than the range


def _permutation_p(compared: Sequence[_Compared]) -> float:
    """Two-sided p of the sum of levels with it, when the prompts of each stratum are exchanged."""
    observed = 0
    total = np.ones(1)
    for one in compared:
        if one.levels:
            observed += one.level
            total = np.convolve(total, _sums(one.levels, one.shown))
    below, above = float(total[: observed + 1].sum()), float(total[observed:].sum())
    return min(1.0, 2 * min(below, above))


@lru_cache(maxsize=20_000)
def _sums(levels: tuple[int, ...], number: int) -> Floats:
    """The probability of each sum of `number` of the levels, drawn without replacement: [0 .. number * highest]."""
    size = number * levels[-1] + 1
    if len(levels) > _EXACT:
        return _normal_sums(levels, number, size)
    ways = np.zeros((number + 1, size))
    ways[0, 0] = 1
    for level in levels:
        for drawn in range(number, 0, -1):
            ways[drawn, level:] += ways[drawn - 1, : size - level]
    found: Floats = ways[number] / ways[number].sum()
    return found


def _normal_sums(levels: tuple[int, ...], number: int, size: int) -> Floats:
    count = len(levels)
    variance = number * (count - number) / count * float(np.var(levels, ddof=1))
    edges = np.arange(size + 1) - 0.5
    cumulative = stats.norm.cdf(edges, number * float(np.mean(levels)), variance**0.5)
    cumulative[0], cumulative[-1] = 0.0, 1.0
    found: Floats = np.diff(cumulative)
    return found
