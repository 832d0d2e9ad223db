"""The metrics that measure the answers to a data set, the leading one and those reported beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from shotsmith.metrics.choice import likeliest
from shotsmith.metrics.metric import PerAnswer
from shotsmith.metrics.table import DEFAULT, METRICS, OF_LABELS, leading
from shotsmith.records import Completion, Example


@dataclass(frozen=True, slots=True)
class Measure:
    """A leading metric, by which selectors are compared, and others reported beside it."""

    metrics: Mapping[str, PerAnswer]
    """The metrics of one answer, by name, the leading one first."""
    highest: Callable[[Sequence[str]], float]
    """The highest figure that a prediction can reach in the leading metric, given the answers."""
    by_likelihood: bool = False
    """Whether the prediction is the likeliest of a query's options instead of the generated text."""
    of_data_set: str | None = None
    """The name of a metric of all answers together that is also reported; results then keep each query's true class."""

    @property
    def name(self) -> str:
        """The name of the leading metric."""
        return next(iter(self.metrics))

    def score(self, text: str, answers: Sequence[str]) -> float:
        """The leading metric of a prediction: higher is better, 0 is worst."""
        value = self.metrics[self.name](text, answers)
        assert value is not None, f"{self.name} gives every prediction a figure"
        return value

    def scores(self, text: str, answers: Sequence[str]) -> dict[str, float]:
        """The figures of a prediction in every metric, by name, without metrics in which it has none."""
        figures = {name: metric(text, answers) for name, metric in self.metrics.items()}
        return {name: figure for name, figure in figures.items() if figure is not None}

    def options(self, query: Example) -> tuple[str, ...]:
        """The answers whose log-probabilities decide the prediction; none where it is the generated text."""
        return query.options if self.by_likelihood else ()

    def prediction(self, query: Example, completion: Completion) -> str | None:
        """The VLM's answer: the text, or the likeliest option; None where the completion lacks log-probabilities."""
        return likeliest(query.options, completion.log_probs) if self.by_likelihood else completion.text


def options_of(metric: str) -> Callable[[Example], tuple[str, ...]]:
    """A function that gives the options which decide the prediction of a query, for data of this metric."""
    by_likelihood = METRICS[metric].by_likelihood
    return lambda query: query.options if by_likelihood else ()


def measure_of(name: str, references: Iterable[Sequence[str]] = ()) -> Measure:
    """The measure of data by the metric `name`; `references` are the answers to every example of the split.

    Raises DataError where the metric needs references and they do not suffice (CIDEr: two examples).
    """
    metric = METRICS[name]
    if metric.fitted is None:
        return _measure(name)
    return Measure({name: metric.fitted(references)}, metric.highest)


@lru_cache
def _measure(name: str) -> Measure:
    metric = METRICS[name]
    reported = leading({name, *metric.beside} | ({metric.stand_in} if metric.stand_in else set()))
    functions = {one: function for one in reported if (function := METRICS[one].of) is not None}
    of_data_set = name if metric.of_data_set is not None else None
    return Measure(functions, metric.highest, metric.by_likelihood, of_data_set)


VQA = measure_of(DEFAULT)
"""The measure of questions with several annotators: the official VQA accuracy, with its variants beside it."""

LABELS = measure_of(OF_LABELS)
"""The measure of classification."""
