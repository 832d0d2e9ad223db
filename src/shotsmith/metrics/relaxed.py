"""Relaxed accuracy, as charts are measured: a number may be off by 5 %, a text may not."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shotsmith.metrics.metric import some

TOLERANCE = 0.05
"""Share of the true number by which a prediction may be off."""


def relaxed_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """1 if |p - t| / |t| <= 5 % for a true number t, or if the texts are equal apart from case; else 0.

    ChartQA (arXiv 2203.10244), after PlotQA (arXiv 1909.00997). A text is a number where all of it is one;
    "12%" is 0.12. Where either side is no number, or the true one is 0, texts are compared. Of several answers the
    best counts. Raises DataError if there are none.
    """
    return float(any(_agrees(prediction.strip(), answer.strip()) for answer in some(answers)))


def _agrees(prediction: str, truth: str) -> bool:
    given, true = _number(prediction), _number(truth)
    if given is None or not true:
        return prediction.lower() == truth.lower()
    return abs(given - true) / abs(true) <= TOLERANCE


def _number(text: str) -> float | None:
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
