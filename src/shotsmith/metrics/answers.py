"""How near an answer comes to a true one: 1 for the same, 0 for nothing in common.

Both sides are normalised as the official VQA evaluation does, so that "The dogs!" and "dogs" are the same answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from shotsmith.metrics.metric import some
from shotsmith.metrics.vqa import normalise

LONGEST = 256
"""Characters of a normalised answer that `edit_similarity` looks at, words of one that `rouge_l` does: their time grows
with the square of them."""


def token_f1(answer: str, truth: str) -> float:
    """Harmonic mean of precision and recall of the words, repetitions counted (SQuAD, arXiv 1606.05250), 0 to 1.

    Two answers without words are the same; one without words shares nothing with one that has some.
    """
    given, true = normalise(answer).split(), normalise(truth).split()
    if given == true:
        return 1.0
    shared = (Counter(given) & Counter(true)).total()
    return 2 * shared / (len(given) + len(true))


def nearest_token_f1(prediction: str, answers: Sequence[str]) -> float:
    """`token_f1` with the nearest answer, 0 to 1. Raises DataError if there are no answers."""
    return max(token_f1(prediction, answer) for answer in dict.fromkeys(some(answers)))


def nearest_rouge_l(prediction: str, answers: Sequence[str]) -> float:
    """`rouge_l` with the nearest answer, 0 to 1. Raises DataError if there are no answers."""
    return max(rouge_l(prediction, answer) for answer in dict.fromkeys(some(answers)))


def rouge_l(answer: str, truth: str) -> float:
    """Harmonic mean of precision and recall of the longest common subsequence of words (Lin 2004, ROUGE-L), 0 to 1.

    Unlike `token_f1` it counts words in the order of the truth only: of two words in the wrong order one counts. Two
    answers without words are the same. Words beyond LONGEST are not looked at.
    """
    given, true = normalise(answer).split()[:LONGEST], normalise(truth).split()[:LONGEST]
    if given == true:
        return 1.0
    return 2 * _common_subsequence(given, true) / (len(given) + len(true))


def edit_similarity(answer: str, truth: str) -> float:
    """1 - Levenshtein distance / length of the longer text, in characters, 0 to 1. Two empty answers are the same."""
    given, true = normalise(answer)[:LONGEST], normalise(truth)[:LONGEST]
    longer = max(len(given), len(true))
    return 1 - levenshtein(given, true) / longer if longer else 1.0


def _common_subsequence(a: list[str], b: list[str]) -> int:
    """Length of the longest common subsequence, a row of the table at a time."""
    above = [0] * (len(b) + 1)
    for x in a:
        row = [0]
        for j, y in enumerate(b, start=1):
            row.append(above[j - 1] + 1 if x == y else max(above[j], row[j - 1]))
        above = row
    return above[-1]


def levenshtein(a: str, b: str) -> int:
    """Fewest characters to insert, delete or replace (Wagner and Fischer 1974), a row of the table at a time."""
    above = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        row = [i]
        for j, y in enumerate(b, start=1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y)))
        above = row
    return above[-1]
