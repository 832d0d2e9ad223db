"""Metrics that are figures of all answers together, such as macro F1, with bootstrap intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shotsmith.evaluation.results import Result
from shotsmith.metrics.metric import PerDataSet
from shotsmith.metrics.table import METRICS
from shotsmith.recipe import EvaluationSettings
from shotsmith.recipe.evaluation import CONFIDENCE

_BATCH = 200
"""Resamples at a time, which bounds memory."""

Floats = npt.NDArray[np.float64]
Run = tuple[int, int]
"""Training seed and draw: one answer a query."""


def data_set_rows(
    results: Sequence[Result], settings: EvaluationSettings, shown: Mapping[tuple[str, int | str], float]
) -> Iterator[dict[str, Any]]:
    """Rows as `summarise` has them under `test`, in the metrics of all answers together; none without true classes.

    A figure is the mean over training seeds and draws; 'mean' is that over the numbers of shots. Intervals resample
    queries (percentile bootstrap), the same for all seeds and numbers of shots. A query that a selector has no answer
    to, at any of its numbers of shots, is left out.
    """
    for name, metric in METRICS.items():
        if metric.of_data_set is None:
            continue
        for selector in dict.fromkeys(result.selector for result in results if result.truth is not None):
            own = [result for result in results if result.selector == selector and result.truth is not None]
            shots = sorted({result.shots for result in own})
            cells: list[tuple[int | str, list[int]]] = [*((one, [one]) for one in shots), ("mean", shots)]
            for cell, counted in cells:
                figures = _Figures([result for result in own if result.shots in counted], metric.of_data_set)
                if len(figures.queries) < 2:
                    continue
                low, high = figures.interval(settings.resamples)
                yield {
                    "selector": selector,
                    "shots": cell,
                    "metric": name,
                    "accuracy": metric.scale * figures.figure,
                    "low": metric.scale * low,
                    "high": metric.scale * high,
                    "n": len(figures.queries),
                    "demonstrations": shown[selector, cell],
                }


class _Figures:
    """One selector's answers, to be measured over any choice of its queries."""

    def __init__(self, results: Sequence[Result], metric: PerDataSet) -> None:
        self._metric = metric
        self._runs: defaultdict[tuple[int, Run], dict[int, Result]] = defaultdict(dict)
        for result in results:
            self._runs[result.shots, (result.seed or 0, result.draw)][result.query_id] = result
        answered = [{query for query, result in run.items() if result.text is not None} for run in self._runs.values()]
        self.queries = sorted(set.intersection(*answered))

    @property
    def figure(self) -> float:
        """The metric over all queries: the mean over numbers of shots, seeds and draws."""
        return float(self._of(np.ones((1, len(self.queries))))[0])

    def interval(self, resamples: int) -> tuple[float, float]:
        """Percentiles over resampled queries; the same draws for every selector with as many queries."""
        generator, n = np.random.default_rng(0), len(self.queries)
        figures: list[float] = []
        while len(figures) < resamples:
            count = min(_BATCH, resamples - len(figures))
            drawn = generator.multinomial(n, np.full(n, 1 / n), size=count)
            figures += self._of(drawn.astype(np.float64)).tolist()
        low, high = np.quantile(figures, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return float(low), float(high)

    def _of(self, weights: Floats) -> Floats:
        """The metric with queries counted so many times, [R, Q] -> [R]."""
        by_shots: defaultdict[int, list[Floats]] = defaultdict(list)
        for (shots, _), run in self._runs.items():
            texts = [run[query].text or "" for query in self.queries]
            truths = [run[query].truth or "" for query in self.queries]
            by_shots[shots].append(self._metric(texts, truths, weights))
        figures: Floats = np.mean([np.mean(runs, axis=0) for runs in by_shots.values()], axis=0)
        return figures
