"""ANLS, as documents and scene texts are measured: how near a text comes, and nothing below a threshold."""

from __future__ import annotations

from collections.abc import Sequence

from shotsmith.metrics.answers import levenshtein
from shotsmith.metrics.metric import some

THRESHOLD = 0.5
"""Normalised distance from which on a prediction earns nothing."""


def anls(prediction: str, answers: Sequence[str]) -> float:
    """1 - d where the normalised Levenshtein distance d to the nearest answer is below 0.5, else 0; 0 to 1.

    d is the number of characters to insert, delete or replace over the length of the longer text, after lower case
    and with each run of white space as one space; the mean over queries is the average normalised Levenshtein
    similarity (Biten et al. 2019, "Scene Text Visual Question Answering", arXiv 1905.13648, eq. 1). Raises DataError
    if there are no answers.
    """
    given = _plain(prediction)
    return max(_similarity(given, _plain(answer)) for answer in some(answers))


def _similarity(given: str, true: str) -> float:
    longer = max(len(given), len(true))
    if given == true:
        return 1.0
    if abs(len(given) - len(true)) / longer >= THRESHOLD:  # the distance is at least that
        return 0.0
    distance = levenshtein(given, true) / longer
    return 1 - distance if distance < THRESHOLD else 0.0


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
