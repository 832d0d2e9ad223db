"""Metrics of classification: exact match of a label, and macro F1, in which rare classes count as much as others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shotsmith.errors import DataError
from shotsmith.metrics.metric import some
from shotsmith.metrics.vqa import normalise

if TYPE_CHECKING:
    from shotsmith.metrics.metric import Floats


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 if the prediction is one of the answers, both sides normalised, else 0. Raises DataError without answers."""
    return float(normalise(prediction) in {normalise(answer) for answer in some(answers)})


def macro_f1(predictions: Sequence[str], truths: Sequence[str], weights: Floats) -> Floats:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN), 0 to 1 (the averaged F1 of arXiv 1911.03347).

    This metric belongs to a whole data set: one prediction and one true class per query, both normalised, and for each
    figure the weights of the queries, [figures, queries]. Classes are those that occur among the truths that count; a
    prediction that is none of them is a miss of its query's class. Raises DataError where no query counts.
    """
    import numpy as np

    given, true = (np.array([normalise(text) for text in texts], dtype=object) for texts in (predictions, truths))
    if not weights.any(axis=1).all():
        raise DataError("there are no answers to compare with", field="answers")
    names = np.array(sorted(set(true)), dtype=object)
    there, said = ((side[:, None] == names).astype(np.float64) for side in (true, given))
    expected, answered, right = (weights @ mask for mask in (there, said, there * said))
    scores = np.divide(2 * right, expected + answered, out=np.zeros_like(right), where=expected > 0)
    figures: Floats = scores.sum(axis=1) / (expected > 0).sum(axis=1)
    return figures


def several_classes(answers: Sequence[str]) -> str | None:
    """The problem of an example whose answers are not one class; None where they are."""
    classes = {normalise(answer) for answer in answers}
    return None if len(classes) == 1 else f"is not one class, but {len(classes)}"
