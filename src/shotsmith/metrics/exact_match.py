"""Exact match of a label, as classification is measured."""

from __future__ import annotations

from collections.abc import Sequence

from shotsmith.errors import DataError
from shotsmith.metrics.vqa import normalise


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 if the prediction is one of the answers, both sides normalised, else 0. Raises DataError without answers."""
    if not answers:
        raise DataError("there are no answers to compare with", field="answers")
    return float(normalise(prediction) in {normalise(answer) for answer in answers})
