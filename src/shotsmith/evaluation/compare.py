"""Runs side by side on the same test queries: what differs, how sure that is, and what so few queries cannot tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from shotsmith.errors import InputError
from shotsmith.evaluation.accuracies import Floats, Metric, Shots, accuracies, measured
from shotsmith.evaluation.results import Result
from shotsmith.metrics.table import METRICS
from shotsmith.runs import PHASES
from shotsmith.statistics import holm, paired_difference, smallest_detectable

Results = Sequence[Result]
Sides = tuple[tuple[str, str], Shots, Floats, Floats]
"""Names of a and b, number of shots, and the accuracies [S, Q] of both."""


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One selector of a run minus one of the base, at one number of shots, in points of the metric as reported."""

    a: str
    """'run: selector'."""
    b: str
    """'run: selector' of the base."""
    shots: Shots
    difference: float
    """a - b, or b - a where lower is better: positive where a is better."""
    low: float
    high: float
    """Interval of the difference, over queries and, where there are several, over seeds."""
    p: float
    """Of 'no difference' (exchanging queries), after Holm's correction over all rows."""
    p_alone: float
    """The same without correction: that of somebody who had planned to look at this row only."""
    detectable: float
    """The smallest true difference that so many queries and seeds, varying as these do, show in this row alone."""
    n: int
    """Queries both have answers to."""
    seeds: tuple[int, int]
    """Trained seeds behind a and behind b."""
    decided: bool
    """Whether p is at most alpha and the interval excludes 0."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` found."""

    base: str
    """The run the others are measured against."""
    runs: tuple[str, ...]
    """The others."""
    metric: Metric
    queries: int
    """Test queries compared."""
    confidence: float
    alpha: float
    power: float
    """With which probability a row's `detectable` difference would be found at alpha."""
    rows: tuple[ComparedRow, ...]
    """By run, then by selector, then by number of shots, 'mean' (each query's mean over them) last."""

    @property
    def undecided(self) -> tuple[ComparedRow, ...]:
        """The differences that these queries cannot tell from none."""
        return tuple(row for row in self.rows if not row.decided)

    def to_json(self) -> dict[str, Any]:
        """Plain values under the names of the fields."""
        return asdict(self)


def compare(
    runs: Mapping[str, Results],
    *,
    selectors: Sequence[str] | None = None,
    metric: Metric | None = None,
    shared: bool = False,
    confidence: float = 0.95,
    resamples: int = 2000,
    alpha: float = 0.05,
    power: float = 0.8,
) -> Comparison:
    """Every run but the first minus the first, per number of shots that all have and on their mean.

    `metric`: by default the leading one of the first run. `selectors`: those compared, each with itself; by default
    the last trained phase of each run. Trainings of different runs are independent, so seeds are not paired;
    queries are. Only the first run is compared with: every further row would make all of them harder to tell from
    chance.

    Raises InputError for fewer than two runs, a selector that a run lacks, runs without a number of shots in common,
    and runs tested on different queries, unless only the `shared` ones are asked for.
    """
    if len(runs) < 2:
        raise InputError("comparing takes at least two runs")
    metric = metric or measured(next(iter(runs.values())))[0]
    if missing := [name for name, results in runs.items() if metric not in measured(results)]:
        has = ", ".join(measured(runs[missing[0]]))
        raise InputError(f"{missing[0]} is not measured by {metric}; it has {has}")
    chosen = {name: list(selectors or [_last_trained(name, results)]) for name, results in runs.items()}
    kept = {name: _of(name, results, chosen[name]) for name, results in runs.items()}
    queries = _queries(kept, shared)
    shots = _common_shots(kept)
    tables = {
        name: accuracies([r for r in results if r.query_id in queries and r.shots in shots], metric).by_selector
        for name, results in kept.items()
    }
    base, *others = runs
    numbers: list[Shots] = [*sorted(shots), "mean"]
    sides: list[Sides] = [
        ((f"{name}: {a}", f"{base}: {b}"), number, tables[name][a][number], tables[base][b][number])
        for name in others
        for a, b in zip(chosen[name], chosen[base], strict=True)
        for number in numbers
    ]
    found = [_row(*each, confidence, resamples, alpha, power) for each in sides]
    rows = [row for row in found if row is not None]
    corrected = holm([row.p_alone for row in rows])
    judged = tuple(_judged(row, p, alpha) for row, p in zip(rows, corrected, strict=True))
    return Comparison(base, tuple(others), metric, len(queries), confidence, alpha, power, judged)


def as_metric(name: str) -> Metric:
    """The metric of that name. Raises InputError naming all where there is none."""
    if name not in METRICS or METRICS[name].of_data_set is not None:
        there = (known for known, metric in METRICS.items() if metric.of_data_set is None)
        raise InputError(f"no metric is called '{name}'; there are {', '.join(there)}")
    return name


def _row(
    names: tuple[str, str],
    shots: Shots,
    side_a: Floats,
    side_b: Floats,
    confidence: float,
    resamples: int,
    alpha: float,
    power: float,
) -> ComparedRow | None:
    """One row, not yet corrected; None where fewer than two queries have answers on both sides."""
    answered = np.isfinite(side_a).all(axis=0) & np.isfinite(side_b).all(axis=0)
    a, b = side_a[:, answered], side_b[:, answered]
    if a.shape[1] < 2:
        return None
    found = paired_difference(a, b, confidence=confidence, resamples=resamples, seeds="independent")
    spread = found.error * found.n**0.5
    return ComparedRow(
        a=names[0],
        b=names[1],
        shots=shots,
        difference=found.difference,
        low=found.low,
        high=found.high,
        p=found.p,
        p_alone=found.p,
        detectable=smallest_detectable(spread, found.n, alpha=alpha, power=power, freedom=found.freedom),
        n=found.n,
        seeds=(len(a), len(b)),
        decided=False,
    )


def _judged(row: ComparedRow, p: float, alpha: float) -> ComparedRow:
    return replace(row, p=p, decided=p <= alpha and not row.low <= 0 <= row.high)


def _last_trained(name: str, results: Results) -> str:
    present = {result.selector for result in results}
    for phase in reversed(PHASES):
        if phase in present:
            return phase
    raise InputError(f"{name} has no trained policy; name a selector: {', '.join(sorted(present)) or 'there is none'}")


def _of(name: str, results: Results, selectors: Sequence[str]) -> list[Result]:
    present = {result.selector for result in results}
    if missing := [selector for selector in selectors if selector not in present]:
        raise InputError(f"{name} has no results of '{missing[0]}'; it has {', '.join(sorted(present))}")
    return [result for result in results if result.selector in selectors]


def _queries(runs: Mapping[str, Results], shared: bool) -> frozenset[int]:
    """The ids of the test queries of all runs."""
    kinds = {name: {result.query_id: result.question_type for result in results} for name, results in runs.items()}
    common = frozenset.intersection(*(frozenset(queries) for queries in kinds.values()))
    if not shared and any(len(queries) != len(common) for queries in kinds.values()):
        counts = ", ".join(f"{len(queries)} in {name}" for name, queries in kinds.items())
        raise InputError(
            f"the runs were tested on different queries ({counts}; {len(common)} in all of them); "
            "only those in all of them can be compared (--shared)"
        )
    for query in sorted(common):
        if len({queries[query] for queries in kinds.values()}) > 1:
            raise InputError("is a different question in each run: they were tested on different data", row=query)
    return common


def _common_shots(runs: Mapping[str, Results]) -> frozenset[int]:
    common = frozenset.intersection(*(frozenset(result.shots for result in results) for results in runs.values()))
    if not common:
        raise InputError("the runs have no number of shots in common")
    return common
