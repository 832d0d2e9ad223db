"""Selectors trained with one VLM and answered by another, as a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from shotsmith.errors import InputError
from shotsmith.evaluation.accuracies import Metric, accuracies, measured
from shotsmith.evaluation.results import Result
from shotsmith.runs import PHASES
from shotsmith.statistics import mean_interval

FREE_ROW = "best free selector"
"""The row of the training-free selectors that are best with each VLM."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Results of one run's selectors with one VLM."""

    vlm: str
    """Identity of the VLM that answered."""
    results: Sequence[Result]
    best_free: str | None
    """The free selector with the highest accuracy on validation queries, with this VLM."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Accuracy of a selector trained in one run with the VLM of another: its mean over the numbers of shots."""

    trained_on: str
    """Name of a run, or FREE_ROW."""
    answered_by: str
    """Name of the run whose VLM answered."""
    selector: str
    accuracy: float
    """In percent."""
    low: float
    high: float
    """Interval over the queries and, where there are several, over seeds."""
    n: int
    """Queries."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What `transfer_matrix` found."""

    runs: tuple[str, ...]
    metric: Metric
    cells: tuple[Cell, ...]
    missing: tuple[tuple[str, str], ...]
    """(trained on, answered by) of the cells that nothing has been evaluated for."""

    def cell(self, trained_on: str, answered_by: str) -> Cell | None:
        """One cell; None where nothing has been evaluated."""
        found = (one for one in self.cells if (one.trained_on, one.answered_by) == (trained_on, answered_by))
        return next(found, None)

    def to_json(self) -> dict[str, Any]:
        """Plain values under the names of the fields."""
        return asdict(self)


def transfer_matrix(vlms: Mapping[str, str], answers: Mapping[str, Sequence[Answers]], *, resamples: int) -> Transfer:
    """Every run's last trained phase with every run's VLM, and the best free selector with each VLM.

    `vlms` gives the identity of each run's own VLM, `answers` what was evaluated in each run. Raises InputError where
    runs were evaluated on different queries or numbers of shots, or a run has no trained selector.
    """
    own = {name: _of(answers[name], vlms[name]) for name in vlms}
    for name, found in own.items():
        if found is None:
            raise InputError(f"{name} has no results with its own VLM")
    metric = measured([result for found in own.values() if found for result in found.results])[0]
    cells, missing, asked = [], [], {}
    for trained_on in vlms:
        for answered_by, vlm in vlms.items():
            found = _of(answers[trained_on], vlm)
            if found is None:
                missing.append((trained_on, answered_by))
                continue
            phase = _last_phase(trained_on, found.results)
            results = [result for result in found.results if result.selector == phase]
            asked[trained_on, answered_by] = {(result.query_id, result.shots) for result in results}
            cells += _cell(trained_on, answered_by, phase, results, metric, resamples)
    if any(queries != next(iter(asked.values())) for queries in asked.values()):
        raise InputError("the runs were evaluated on different queries or numbers of shots")
    for name, found in own.items():
        if found is not None and found.best_free is not None:
            results = [result for result in found.results if result.selector == found.best_free]
            cells += _cell(FREE_ROW, name, found.best_free, results, metric, resamples)
    return Transfer(tuple(vlms), metric, tuple(cells), tuple(missing))


def _of(answers: Sequence[Answers], vlm: str) -> Answers | None:
    return next((one for one in answers if one.vlm == vlm), None)


def _last_phase(name: str, results: Sequence[Result]) -> str:
    present = {result.selector for result in results}
    for phase in reversed(PHASES):
        if phase in present:
            return phase
    raise InputError(f"{name} has no trained selector")


def _cell(
    trained_on: str,
    answered_by: str,
    selector: str,
    results: Sequence[Result],
    metric: Metric,
    resamples: int,
) -> list[Cell]:
    """The cell, or none where fewer than two queries have answers."""
    (values,) = accuracies(results, metric).scored((selector, "mean"))
    if values.shape[1] < 2:
        return []
    found = mean_interval(values, resamples=resamples)
    return [Cell(trained_on, answered_by, selector, found.mean, found.low, found.high, found.n)]
