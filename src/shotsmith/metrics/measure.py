"""What the answers to a data set are measured by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from shotsmith.metrics.cider import CiderScorer
from shotsmith.metrics.exact_match import exact_match
from shotsmith.metrics.vqa import best_accuracy, vqa_accuracy, vqa_accuracy_normalised, vqa_accuracy_stemmed
from shotsmith.recipe.data import MetricName

Metric = Callable[[str, Sequence[str]], float]
"""(prediction, answers) -> how good it is; higher is better, 0 is worst."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A leading metric, and others reported beside it."""

    metrics: Mapping[str, Metric]
    """By name, the leading one first."""
    highest: Callable[[Sequence[str]], float]
    """What no prediction can exceed in the leading metric, given the answers."""

    @property
    def name(self) -> str:
        """Of the leading metric."""
        return next(iter(self.metrics))

    def score(self, text: str, answers: Sequence[str]) -> float:
        """The leading metric of a prediction."""
        return self.metrics[self.name](text, answers)

    def scores(self, text: str, answers: Sequence[str]) -> dict[str, float]:
        """Every metric of a prediction, by name."""
        return {name: metric(text, answers) for name, metric in self.metrics.items()}


VQA = Measure(
    {
        "vqa_accuracy": vqa_accuracy,
        "vqa_accuracy_normalised": vqa_accuracy_normalised,
        "vqa_accuracy_stemmed": vqa_accuracy_stemmed,
    },
    best_accuracy,
)
"""Questions with the answers of several annotators: the official accuracy, and its variants beside it."""

LABELS = Measure({"exact_match": exact_match}, lambda _answers: 1.0)
"""Classification."""


def captions(references: Iterable[Sequence[str]]) -> Measure:
    """CIDEr-D against the captions of all examples of a split. Raises DataError for fewer than two examples."""
    return Measure({"cider": CiderScorer(references).score}, lambda _answers: 10.0)


def measure_of(name: MetricName, references: Iterable[Sequence[str]]) -> Measure:
    """The measure that `name` leads; `references` are the answers to every example of the split."""
    if name == "cider":
        return captions(references)
    return LABELS if name == "exact_match" else VQA
