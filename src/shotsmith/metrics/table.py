"""Every metric, in one table: what a recipe may name as `metric` of its data and as a weight of its reward."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shotsmith.metrics.choice import choice_letter, choice_likelihood, not_letters
from shotsmith.metrics.cider import CiderScorer
from shotsmith.metrics.labels import exact_match, macro_f1, several_classes
from shotsmith.metrics.metric import Metric
from shotsmith.metrics.numbers import closeness, mean_absolute_error, not_numbers, relaxed_accuracy
from shotsmith.metrics.texts import anls, nearest_rouge_l, nearest_token_f1
from shotsmith.metrics.vqa import best_accuracy, vqa_accuracy, vqa_accuracy_normalised, vqa_accuracy_stemmed
from shotsmith.plugins import Table

_OWN: Mapping[str, Metric] = {
    "vqa_accuracy": Metric(
        "Official VQA accuracy",
        vqa_accuracy,
        highest=best_accuracy,
        beside=("vqa_accuracy_normalised", "vqa_accuracy_stemmed"),
    ),
    "vqa_accuracy_normalised": Metric(
        "VQA accuracy, always normalised",
        vqa_accuracy_normalised,
        highest=lambda answers: best_accuracy(answers, vqa_accuracy_normalised),
    ),
    "vqa_accuracy_stemmed": Metric(
        "VQA accuracy, stemmed (OK-VQA)",
        vqa_accuracy_stemmed,
        highest=lambda answers: best_accuracy(answers, vqa_accuracy_stemmed),
    ),
    "cider": Metric(
        "CIDEr-D",
        fitted=lambda references: CiderScorer(references).score,
        highest=lambda _answers: 10.0,
        unit="times_100",
    ),
    "exact_match": Metric("Exact match of the label", exact_match),
    "macro_f1": Metric("Macro F1", of_data_set=macro_f1, stand_in="exact_match", problem=several_classes),
    "token_f1": Metric("Token F1", nearest_token_f1),
    "rouge_l": Metric("ROUGE-L", nearest_rouge_l),
    "anls": Metric("ANLS", anls),
    "relaxed_accuracy": Metric("Relaxed accuracy (5 %)", relaxed_accuracy),
    "mean_absolute_error": Metric(
        "Mean absolute error, in the unit of the answers",
        mean_absolute_error,
        unit="itself",
        lower_is_better=True,
        stand_in="closeness",
        beside=("relaxed_accuracy",),
        problem=not_numbers,
    ),
    "closeness": Metric("Closeness of numbers", closeness, problem=not_numbers),
    "choice_letter": Metric("Multiple choice by the generated letter", choice_letter, problem=not_letters),
    "choice_likelihood": Metric("Multiple choice by likelihood", choice_likelihood, by_likelihood=True),
}
METRICS: Table[Metric] = Table("shotsmith.metrics", Metric, _OWN)
"""By name; metrics reported together are listed in this order, behind the one that decides."""


def check_metric(name: str) -> str:
    """The name. Raises ValueError, naming all metrics, where no metric has it."""
    if name not in METRICS:
        raise ValueError(f"no metric is called '{name}'; there are {', '.join(METRICS)}")
    return name


def leading(names: Iterable[str]) -> list[str]:
    """Metrics that are reported together, the one that decides first, then its variants and what it stands in for."""
    given = [name for name in METRICS if name in frozenset(names)]
    beside = {other for name in given for other in METRICS[name].beside}
    beside |= {name for name in given if METRICS[name].stand_in is not None}
    return sorted(given, key=lambda name: name in beside)
