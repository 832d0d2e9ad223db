"""Answers that are numbers: how far a prediction is off, and a bounded score of it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from shotsmith.errors import DataError
from shotsmith.metrics.metric import some

_NUMBER = re.compile(
    r"(?<![\w.])[-+\N{MINUS SIGN}]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+|(?<=\d)\.?)(?:[eE][-+]?\d+)?"
)
_AROUND = re.compile(r"^[$\N{EURO SIGN}\N{POUND SIGN}\N{YEN SIGN}]\s*|\s*%$")


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


def mean_absolute_error(prediction: str, answers: Sequence[str]) -> float | None:
    """|p - t| of the first number p of the prediction and the nearest true number t; its mean over queries is the MAE.

    In the unit of the answers, 0 or more, lower is better (Willmott and Matsuura 2005, Climate Research 30). None
    where the prediction holds no number: it has no error then, is counted, and `relaxed_accuracy` stands beside it.
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
    """What is wrong where an answer is not a number."""
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
