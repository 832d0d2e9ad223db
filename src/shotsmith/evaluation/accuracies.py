"""Results as arrays: one value per number of shots, training seed and query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from shotsmith.evaluation.results import Result, scored_metrics
from shotsmith.metrics.table import DEFAULT, METRICS, leading

Metric = str
"""A name in the table of metrics."""
Shots = int | Literal["mean"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Accuracies:
    """One metric, higher is better: accuracies in percent, CIDEr times 100 as papers give it, an error times -1.

    NaN where a query is excluded (its completion failed, or its answer has no figure in this metric).
    """

    by_selector: dict[str, dict[Shots, Floats]]
    """[seeds, queries] for each number of shots, and for 'mean': each query's mean over the numbers of shots."""

    def scored(self, *cells: tuple[str, Shots]) -> list[Floats]:
        """The arrays of some (selector, shots), cut to the queries that none of them excludes."""
        return finite([self.by_selector[selector][shots] for selector, shots in cells])


def finite(tables: Sequence[Floats]) -> list[Floats]:
    """Arrays [seeds, queries] of the same queries, cut to those that have figures in all of them."""
    kept = np.all([np.isfinite(table).all(axis=0) for table in tables], axis=0)
    return [table[:, kept] for table in tables]


def measured(results: Sequence[Result]) -> tuple[Metric, ...]:
    """The metrics of one answer that results hold, the leading one first; VQA accuracy where nothing is scored."""
    found = scored_metrics(results)
    return tuple(leading(found)) or (DEFAULT,)


def signed_scale(metric: Metric) -> float:
    """What a figure is multiplied by to be compared: its scale, negative where lower is better."""
    return -METRICS[metric].scale if METRICS[metric].lower_is_better else METRICS[metric].scale


def as_reported(metric: Metric, value: float) -> float:
    """A compared value as it is reported: an error is positive again."""
    return -value if METRICS[metric].lower_is_better else value


def accuracies(results: Sequence[Result], metric: Metric) -> Accuracies:
    """Arrange the figures of results in a metric; see `arranged`."""
    scale = signed_scale(metric)

    def value(result: Result) -> float | None:
        figure = result.value(metric)
        return None if figure is None else scale * figure

    return arranged(results, value)


def arranged(results: Sequence[Result], value: Callable[[Result], float | None]) -> Accuracies:
    """Arrange a figure of each result; repeated draws are averaged per query, seeds keep a row each.

    A query is NaN as soon as one draw has no figure or is missing, so that nothing is averaged over different draws.
    """
    queries = {number: column for column, number in enumerate(sorted({result.query_id for result in results}))}
    by_selector: dict[str, dict[Shots, Floats]] = {}
    for selector in dict.fromkeys(result.selector for result in results):
        own = [result for result in results if result.selector == selector]
        shots = {number: row for row, number in enumerate(sorted({result.shots for result in own}))}
        seeds = {seed: row for row, seed in enumerate(sorted({_seed(result) for result in own}))}
        draws = {draw: row for row, draw in enumerate(sorted({result.draw for result in own}))}
        values = np.full((len(shots), len(seeds), len(draws), len(queries)), np.nan)
        for result in own:
            figure = value(result)
            place = shots[result.shots], seeds[_seed(result)], draws[result.draw], queries[result.query_id]
            values[place] = np.nan if figure is None else figure
        per_query: Floats = values.mean(axis=2)
        by_selector[selector] = {number: per_query[row] for number, row in shots.items()}
        by_selector[selector]["mean"] = per_query.mean(axis=0)
    return Accuracies(by_selector)


def _seed(result: Result) -> int:
    return 0 if result.seed is None else result.seed
