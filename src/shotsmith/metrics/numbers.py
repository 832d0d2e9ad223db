"""Metrics of answers that are numbers: relaxed accuracy, absolute error, and a bounded form of it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from shotsmith.errors import DataError
from shotsmith.metrics.metric import plain, some

_NUMBER = re.compile(
    r"(?<![\w.])[-+\N{MINUS SIGN}]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+|(?<=\d)\.?)(?:[eE][-+]?\d+)?"
)
_AROUND = re.compile(r"^[$\N{EURO SIGN}\N{POUND SIGN}\N{YEN SIGN}]\s*|\s*%$")
TOLERANCE = 0.05
"""The share of the true number by which a prediction may be off in relaxed accuracy."""


def first_number(text: str) -> float | None:
    """The first number in a text: digits with thousands commas, a fraction, an exponent, a sign. None without one."""
    for found in _NUMBER.finditer(text):
        if any(character.isdigit() for character in found[0]):
            value = float(found[0].replace(",", "").replace("\N{MINUS SIGN}", "-"))
            return value if math.isfinite(value) else None
    return None


def whole_number_text(text: str) -> float | None:
    """The number that a text is, apart from a currency sign before it or a percent sign after it; else None."""
    bare = _AROUND.sub("", text.strip())
    found = _NUMBER.fullmatch(bare)
    return None if found is None else first_number(bare)


def number_or_text(text: str) -> str:
    """The number that a whole text is, in one spelling for equal numbers; the text itself where it is none."""
    number = _plain_number(text.strip())
    return plain(text) if number is None else repr(number)


def first_number_or_text(text: str) -> str:
    """The first number in a text, in one spelling for equal numbers; the text itself where it has none."""
    number = first_number(text)
    return plain(text) if number is None else repr(number)


def relaxed_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """1 if |p - t| / |t| <= 5 % for a true number t, or if the texts are equal apart from case; else 0.

    The metric of charts: ChartQA (arXiv 2203.10244), after PlotQA (arXiv 1909.00997). A text is a number if all of it
    is one; "12%" is 0.12. If either side is no number, or the true one is 0, texts are compared. Of several answers
    the best counts. Raises DataError if there are none.
    """
    return float(any(_agrees(prediction.strip(), answer.strip()) for answer in some(answers)))


def mean_absolute_error(prediction: str, answers: Sequence[str]) -> float | None:
    """|p - t| of the first number p of the prediction and the nearest true number t; its mean over queries is the MAE.

    In the unit of the answers, 0 or more, lower is better (Willmott and Matsuura 2005, Climate Research 30). None
    where the prediction holds no number: it has no error, and is counted; `relaxed_accuracy` is reported beside it.
    Raises DataError for answers that are not numbers.
    """
    number, truths = first_number(prediction), _truths(answers)
    return None if number is None else min(abs(number - truth) for truth in truths)


def closeness(prediction: str, answers: Sequence[str]) -> float:
    """1 / (1 + |p - t| / max(1, |t|)) for the true number t that gives most; 0 where the prediction holds no number.

    The bounded form of the absolute error (0 to 1, our definition): 1 for the number itself, 1/2 where it is off by as
    much as the number, and above 0 for every number, so that the nearer of two wrong ones always earns more. Raises
    DataError for answers that are not numbers.
    """
    number, truths = first_number(prediction), _truths(answers)
    if number is None:
        return 0.0
    return max(1 / (1 + abs(number - truth) / max(1.0, abs(truth))) for truth in truths)


def not_numbers(answers: Sequence[str]) -> str | None:
    """The problem of answers of which one is not a number; None where all are."""
    for answer in answers:
        if whole_number_text(answer) is None:
            return f"is not a number: {answer!r} (exact_match and anls measure texts)"
    return None


def _truths(answers: Sequence[str]) -> list[float]:
    truths = [whole_number_text(answer) for answer in some(answers)]
    known = [truth for truth in truths if truth is not None]
    if len(known) < len(truths):
        raise DataError(str(not_numbers(answers)), field="answers")
    return known


def _agrees(prediction: str, truth: str) -> bool:
    given, true = _plain_number(prediction), _plain_number(truth)
    if given is None or not true:
        return prediction.lower() == truth.lower()
    return abs(given - true) / abs(true) <= TOLERANCE


def _plain_number(text: str) -> float | None:
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
