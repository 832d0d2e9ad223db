"""VQA accuracy (arXiv 1505.00468), as the official evaluation computes it.

A prediction earns min(1, matches / 3) from the other annotators, averaged over leaving each annotator out. The
official code normalises answers *only where the annotators disagree*; where all gave the very same text, a prediction
must be that text. Annotators are left out by position: the official code compares records and, where these carry no
`answer_id`, takes equal answers for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from shotsmith.errors import DataError
from shotsmith.metrics.contractions import CONTRACTIONS
from shotsmith.metrics.stemming import stemmed

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
# The official pattern means "unless between digits", but its look-behind is misspelt and never holds a period back.
_PERIOD = re.compile(r"\.(?!\d)")
# It also passes a flag, re.UNICODE, in the place of the number of substitutions.
_MOST_PERIODS = int(re.UNICODE)
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBER_WORDS)}
_ARTICLES = frozenset({"a", "an", "the"})


def vqa_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """The official accuracy of one prediction, 0 to 1, not rounded. Raises DataError if there are no answers."""
    truths = [_stripped(answer) for answer in answers]
    if len(set(truths)) > 1:
        return vqa_accuracy_normalised(prediction, answers)
    return _agreement(_stripped(prediction), truths)


def vqa_accuracy_normalised(prediction: str, answers: Sequence[str]) -> float:
    """The same, with both sides normalised whether or not the annotators agree, as many papers report it."""
    return _agreement(normalise(prediction), [normalise(answer) for answer in answers])


def vqa_accuracy_stemmed(prediction: str, answers: Sequence[str]) -> float:
    """The accuracy of OK-VQA (arXiv 1906.00067): the VQA accuracy of stems, so that "surfing" and "surf" agree.

    OK-VQA stems the annotators' answers, of which the released annotations hold the outcome (`answer`, beside
    `raw_answer`), and a prediction has to be stemmed likewise. Its stemming is not published in full; here both sides
    are normalised, always, and then cut to their stems (metrics.stemming). Normalising goes first: the stem of "one"
    is no number.
    """
    return _agreement(stemmed(normalise(prediction)), [stemmed(normalise(answer)) for answer in answers])


def best_accuracy(answers: Sequence[str], accuracy: Callable[[str, Sequence[str]], float] = vqa_accuracy) -> float:
    """The highest accuracy of the three that any prediction can reach: 1 only if enough annotators agree."""
    return max(accuracy(answer, answers) for answer in _some(answers))


@lru_cache(maxsize=200_000)
def normalise(text: str) -> str:
    """An answer as the official evaluation compares it.

    Punctuation and articles removed, lower case, number words as digits, contractions with their apostrophe.
    """
    words = _without_punctuation(_stripped(text)).lower().split()
    digits = (_DIGITS.get(word, word) for word in words)
    return " ".join(CONTRACTIONS.get(word, word) for word in digits if word not in _ARTICLES)


def _agreement(prediction: str, truths: Sequence[str]) -> float:
    matches = _some(truths).count(prediction)
    shares = [min(1.0, (matches - (truth == prediction)) / 3) for truth in truths]
    return sum(shares) / len(shares)


def _some(answers: Sequence[str]) -> Sequence[str]:
    if not answers:
        raise DataError("there are no answers to compare with", field="answers")
    return answers


def _stripped(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _without_punctuation(text: str) -> str:
    """Marks that touch a space go; others become a space, unless a thousands comma says that all of them go."""
    has_thousands = _DIGIT_COMMA_DIGIT.search(text) is not None
    outcome = text
    for mark in _MARKS:
        if mark in text:
            goes = has_thousands or f"{mark} " in text or f" {mark}" in text
            outcome = outcome.replace(mark, "" if goes else " ")
    return _PERIOD.sub("", outcome, count=_MOST_PERIODS)
