"""What the table says of a metric: how one answer is measured, and how its figures are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shotsmith.errors import DataError

if TYPE_CHECKING:  # a recipe is checked without loading it
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

PerAnswer = Callable[[str, Sequence[str]], float | None]
"""(prediction, answers) -> its figure; None where the prediction has none, which is counted and never a number."""
PerDataSet = Callable[[Sequence[str], Sequence[str], "Floats"], "Floats"]
"""(predictions [Q], true answers [Q], weights [R, Q]) -> the figure [R] of all of them, each counted so many times."""
Unit = Literal["percent", "times_100", "itself"]


def _one(_answers: Sequence[str]) -> float:
    return 1.0


@dataclass(frozen=True, slots=True)
class Metric:
    """A line of the table. Exactly one of `of`, `fitted` and `of_data_set` is given."""

    title: str
    """What reports call it; with its unit, where that is neither percent nor times 100."""
    of: PerAnswer | None = None
    """The figure of one answer."""
    fitted: Callable[[Iterable[Sequence[str]]], PerAnswer] | None = None
    """Makes `of` from the answers to all examples of a split. Raises DataError where they do not suffice."""
    of_data_set: PerDataSet | None = None
    """The figure of all answers together, where it is no mean over queries."""
    highest: Callable[[Sequence[str]], float] = _one
    """What no prediction can exceed, given the answers; of a metric with a stand-in, what none can exceed in that."""
    unit: Unit = "percent"
    """How figures are reported: times 100 in percent, times 100 without a unit, or as they are."""
    beside: tuple[str, ...] = ()
    """Metrics reported with it where it leads."""
    stand_in: str | None = None
    """The metric of one answer, higher is better, that takes its place wherever sequences or selectors are compared and
    in rewards, because it is no such metric itself. It leads the results; the metric is reported beside it."""
    lower_is_better: bool = False
    problem: Callable[[Sequence[str]], str | None] = lambda _answers: None
    """Why it cannot score predictions against these answers; None where it can."""
    by_likelihood: bool = False
    """Whether the prediction is the option with the highest log-probability instead of the generated text."""

    @property
    def scale(self) -> float:
        """What figures are multiplied by in reports."""
        return 1.0 if self.unit == "itself" else 100.0


def some(answers: Sequence[str]) -> Sequence[str]:
    """The answers. Raises DataError where there are none."""
    if not answers:
        raise DataError("there are no answers to compare with", field="answers")
    return answers
