"""Similarity of an answer to the true answers as texts: token F1, ROUGE-L, edit similarity and ANLS.

Except in ANLS, both sides are normalised as in the official VQA evaluation, so that "The dogs!" and "dogs" are equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from shotsmith.metrics.metric import plain, some
from shotsmith.metrics.vqa import normalise

LONGEST = 256
"""The number of characters of a normalised answer that `edit_similarity` compares, and of words that `rouge_l` does."""
ANLS_THRESHOLD = 0.5
"""The normalised distance from which on a prediction earns 0 in ANLS."""


def token_f1(answer: str, truth: str) -> float:
    """Harmonic mean of precision and recall of the words, repetitions counted (SQuAD, arXiv 1606.05250), 0 to 1.

    Two answers without words are equal; one without words shares nothing with one that has some.
    """
    given, true = normalise(answer).split(), normalise(truth).split()
    if given == true:
        return 1.0
    shared = (Counter(given) & Counter(true)).total()
    return 2 * shared / (len(given) + len(true))


def nearest_token_f1(prediction: str, answers: Sequence[str]) -> float:
    """`token_f1` with the nearest answer, 0 to 1. Raises DataError if there are no answers."""
    return max(token_f1(prediction, answer) for answer in dict.fromkeys(some(answers)))


def rouge_l(answer: str, truth: str) -> float:
    """Harmonic mean of precision and recall of the longest common subsequence of words (Lin 2004, ROUGE-L), 0 to 1.

    Unlike `token_f1` it counts words in the order of the truth only: of two words in the wrong order one counts. Two
    answers without words are equal. Words beyond LONGEST are ignored.
    """
    given, true = normalise(answer).split()[:LONGEST], normalise(truth).split()[:LONGEST]
    if given == true:
        return 1.0
    from rapidfuzz.distance import LCSseq

    return 2 * LCSseq.similarity(given, true) / (len(given) + len(true))


def nearest_rouge_l(prediction: str, answers: Sequence[str]) -> float:
    """`rouge_l` with the nearest answer, 0 to 1. Raises DataError if there are no answers."""
    return max(rouge_l(prediction, answer) for answer in dict.fromkeys(some(answers)))


def edit_similarity(answer: str, truth: str) -> float:
    """1 - Levenshtein distance / length of the longer text, in characters, 0 to 1. Two empty answers are equal."""
    given, true = normalise(answer)[:LONGEST], normalise(truth)[:LONGEST]
    longer = max(len(given), len(true))
    return 1 - _distance(given, true) / longer if longer else 1.0


def anls(prediction: str, answers: Sequence[str]) -> float:
    """1 - d where the normalised Levenshtein distance d to the nearest answer is below 0.5, else 0; 0 to 1.

    d is the number of characters to insert, delete or replace over the length of the longer text, after lower case
    and with each run of white space as one space; the mean over queries is the average normalised Levenshtein
    similarity (Biten et al. 2019, "Scene Text Visual Question Answering", arXiv 1905.13648, eq. 1). Raises DataError
    if there are no answers.
    """
    given = plain(prediction)
    return max(_anls_of_one(given, plain(answer)) for answer in some(answers))


def _anls_of_one(given: str, true: str) -> float:
    if given == true:
        return 1.0
    distance = _distance(given, true) / max(len(given), len(true))
    return 1 - distance if distance < ANLS_THRESHOLD else 0.0


def _distance(a: str, b: str) -> int:
    """The Levenshtein distance: the fewest characters to insert, delete or replace."""
    from rapidfuzz.distance import Levenshtein  # slow to import, and a recipe is checked without it

    return Levenshtein.distance(a, b)
