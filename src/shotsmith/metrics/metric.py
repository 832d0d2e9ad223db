"""The entry of a metric in the table: how answers are measured, and how the figures are reported."""

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
"""Computes the figure of a prediction from the true answers; None for one without a figure, which is counted."""
PerDataSet = Callable[[Sequence[str], Sequence[str], "Floats"], "Floats"]
"""Computes R figures [R] of Q predictions from their true answers and weights [R, Q]."""
Unit = Literal["percent", "times_100", "itself"]


def plain(text: str) -> str:
    """The text in lower case, with each run of white space as one space."""
    return " ".join(text.lower().split())


def _one(_answers: Sequence[str]) -> float:
    return 1.0


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric in the table. Exactly one of `of`, `fitted` and `of_data_set` is given."""

    title: str
    """The name in reports, with the unit where that is neither percent nor times 100."""
    of: PerAnswer | None = None
    """The figure of one answer."""
    fitted: Callable[[Iterable[Sequence[str]]], PerAnswer] | None = None
    """Makes the function `of` from the answers to all examples of a split. Raises DataError if they do not suffice."""
    of_data_set: PerDataSet | None = None
    """The figure of all answers together, for a metric that is not a mean over queries."""
    highest: Callable[[Sequence[str]], float] = _one
    """The highest figure that a prediction can reach, given the answers; in the stand-in for a metric that has one."""
    heading: str | None = None
    """The name in headings of tables, where it is shorter than the title."""
    unit: Unit = "percent"
    """The unit in reports: times 100 in percent, times 100 without a unit, or unchanged."""
    beside: tuple[str, ...] = ()
    """Names of the metrics reported beside this one when it is the leading metric."""
    stand_in: str | None = None
    """The name of a metric of one answer, higher is better, that replaces this one in comparisons of sequences and
    selectors and in rewards. The stand-in leads the results, and this metric is reported beside it."""
    lower_is_better: bool = False
    problem: Callable[[Sequence[str]], str | None] = lambda _answers: None
    """Says why the metric cannot score predictions against some answers; None where it can."""
    needs_annotators: bool = False
    """Whether the full score of an answer needs several annotators who agree."""
    form: Callable[[str], str] = plain
    """The form of an answer in which it is told whether two answers are the same."""
    by_likelihood: bool = False
    """Whether the prediction is the option with the highest log-probability instead of the generated text."""

    @property
    def scale(self) -> float:
        """The factor by which figures are multiplied in reports."""
        return 1.0 if self.unit == "itself" else 100.0


def some(answers: Sequence[str]) -> Sequence[str]:
    """Return the answers. Raises DataError where there are none."""
    if not answers:
        raise DataError("there are no answers to compare with", field="answers")
    return answers
