"""Accuracy by kind of question: the trained policy against the best free selector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shotsmith.evaluation.accuracies import Accuracies, accuracies, as_reported, measured
from shotsmith.evaluation.evaluate import ORACLE
from shotsmith.evaluation.results import Result
from shotsmith.reports.data import Kind
from shotsmith.statistics import mean_interval

MOST_KINDS = 30
"""Data with more kinds of question than this are not shown by kind."""


def by_kind(results: Sequence[Result], free: str, trained: str, confidence: float) -> tuple[Kind, ...]:
    """One row per kind of question, means over the numbers of shots, the largest gain first.

    A kind with a single query has no interval. Empty where there is one kind only, more than MOST_KINDS, or where one
    of the two selectors has no results. Queries with a failed completion are left out.
    """
    kind_of = {result.query_id: result.question_type for result in results}
    names = sorted(set(kind_of.values()))
    selectors = {result.selector for result in results}
    if not 1 < len(names) <= MOST_KINDS or not {free, trained} <= selectors:
        return ()
    metric = measured(results)[0]
    table = accuracies([result for result in results if result.selector in (free, trained, ORACLE)], metric)
    kinds = np.array([kind_of[query] for query in sorted(kind_of)])
    rows = [_kind(name, kinds == name, table, (free, trained), metric, confidence) for name in names]
    return tuple(sorted((row for row in rows if row), key=lambda row: (-row.difference, row.name)))


def _kind(
    name: str, own: npt.NDArray[np.bool_], table: Accuracies, pair: tuple[str, str], metric: str, confidence: float
) -> Kind | None:
    free, trained = (table.by_selector[selector]["mean"] for selector in pair)
    scored = own & np.isfinite(free).all(axis=0) & np.isfinite(trained).all(axis=0)
    count = int(scored.sum())
    if not count:
        return None
    difference = trained[:, scored] - free[:, scored].mean(axis=0)
    interval = mean_interval(difference, confidence=confidence) if count > 1 else None
    return Kind(
        name=name,
        n=count,
        free=as_reported(metric, float(free[:, scored].mean())),
        trained=as_reported(metric, float(trained[:, scored].mean())),
        oracle=_oracle(table, scored, metric),
        difference=float(difference.mean()),
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
    )


def _oracle(table: Accuracies, scored: npt.NDArray[np.bool_], metric: str) -> float | None:
    """The oracle on the same queries; None where it was not asked about all of them."""
    if ORACLE not in table.by_selector:
        return None
    mean = float(table.by_selector[ORACLE]["mean"][:, scored].mean())
    return as_reported(metric, mean) if np.isfinite(mean) else None
