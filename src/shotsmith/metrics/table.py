"""The table of metrics. A recipe names them as `metric` of its data and as weights of its reward.

Lists of metrics elsewhere are taken from this table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shotsmith.metrics.choice import choice_letter, choice_likelihood, letter_or_text, not_letters
from shotsmith.metrics.cider import CiderScorer
from shotsmith.metrics.labels import exact_match, macro_f1, several_classes
from shotsmith.metrics.metric import Metric
from shotsmith.metrics.numbers import (
    closeness,
    first_number_or_text,
    mean_absolute_error,
    not_numbers,
    number_or_text,
    relaxed_accuracy,
)
from shotsmith.metrics.stemming import stemmed
from shotsmith.metrics.texts import anls, nearest_rouge_l, nearest_token_f1
from shotsmith.metrics.vqa import (
    best_accuracy,
    normalise,
    vqa_accuracy,
    vqa_accuracy_normalised,
    vqa_accuracy_stemmed,
)
from shotsmith.plugins import Table

_OWN: Mapping[str, Metric] = {
    "vqa_accuracy": Metric(
        "Official VQA accuracy",
        vqa_accuracy,
        highest=best_accuracy,
        heading="Accuracy",
        needs_annotators=True,
        beside=("vqa_accuracy_normalised", "vqa_accuracy_stemmed"),
        form=normalise,
    ),
    "vqa_accuracy_normalised": Metric(
        "VQA accuracy, always normalised",
        vqa_accuracy_normalised,
        highest=lambda answers: best_accuracy(answers, vqa_accuracy_normalised),
        needs_annotators=True,
        form=normalise,
    ),
    "vqa_accuracy_stemmed": Metric(
        "VQA accuracy, stemmed (OK-VQA)",
        vqa_accuracy_stemmed,
        highest=lambda answers: best_accuracy(answers, vqa_accuracy_stemmed),
        needs_annotators=True,
        form=lambda text: stemmed(normalise(text)),
    ),
    "cider": Metric(
        "CIDEr-D",
        fitted=lambda references: CiderScorer(references).score,
        highest=lambda _answers: 10.0,
        unit="times_100",
        form=normalise,
    ),
    "exact_match": Metric("Exact match of the label", exact_match, heading="Accuracy", form=normalise),
    "macro_f1": Metric("Macro F1", of_data_set=macro_f1, stand_in="exact_match", problem=several_classes),
    "token_f1": Metric("Token F1", nearest_token_f1, form=normalise),
    "rouge_l": Metric("ROUGE-L", nearest_rouge_l, form=normalise),
    "anls": Metric("ANLS", anls),
    "relaxed_accuracy": Metric("Relaxed accuracy (5 %)", relaxed_accuracy, form=number_or_text),
    "mean_absolute_error": Metric(
        "Mean absolute error, in the unit of the answers",
        mean_absolute_error,
        unit="itself",
        lower_is_better=True,
        stand_in="closeness",
        beside=("relaxed_accuracy",),
        problem=not_numbers,
        form=first_number_or_text,
    ),
    "closeness": Metric("Closeness of numbers", closeness, problem=not_numbers, form=first_number_or_text),
    "choice_letter": Metric(
        "Multiple choice by the generated letter", choice_letter, problem=not_letters, form=letter_or_text
    ),
    "choice_likelihood": Metric("Multiple choice by likelihood", choice_likelihood, by_likelihood=True),
}
METRICS: Table[Metric] = Table("shotsmith.metrics", Metric, _OWN)
"""Every metric by name; metrics reported together are listed in this order, after the leading one."""

DEFAULT = "vqa_accuracy"
"""The metric of data whose section of the recipe does not name one."""
OF_LABELS = "exact_match"
"""The metric of labelled texts."""
OF_CAPTIONS = "cider"
"""The metric of captions."""


def check_metric(name: str) -> str:
    """Return the name of a metric. Raises ValueError, naming all metrics, where no metric has this name."""
    if name not in METRICS:
        raise ValueError(f"no metric is called '{name}'; there are {', '.join(METRICS)}")
    return name


def leading(names: Iterable[str]) -> list[str]:
    """Order metrics that are reported together: the leading one first, its variants and what it stands in for last."""
    given = [name for name in METRICS if name in frozenset(names)]
    beside = {other for name in given for other in METRICS[name].beside}
    beside |= {name for name in given if METRICS[name].stand_in is not None}
    return sorted(given, key=lambda name: name in beside)
