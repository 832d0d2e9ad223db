"""How near an answer comes to a true one: 1 for the same, 0 for nothing in common.

Both sides are normalised as the official VQA evaluation does, so that "The dogs!" and "dogs" are the same answer.
"""

from __future__ import annotations

from collections import Counter

from shotsmith.metrics.vqa import normalise

LONGEST = 256
"""Characters of a normalised answer that `edit_similarity` looks at: its time grows with the square of them."""


def token_f1(answer: str, truth: str) -> float:
    """Harmonic mean of precision and recall of the words, repetitions counted (SQuAD, arXiv 1606.05250), 0 to 1.

    Two answers without words are the same; one without words shares nothing with one that has some.
    """
    given, true = normalise(answer).split(), normalise(truth).split()
    if given == true:
        return 1.0
    shared = (Counter(given) & Counter(true)).total()
    return 2 * shared / (len(given) + len(true))


def edit_similarity(answer: str, truth: str) -> float:
    """1 - Levenshtein distance / length of the longer text, in characters, 0 to 1. Two empty answers are the same."""
    given, true = normalise(answer)[:LONGEST], normalise(truth)[:LONGEST]
    longer = max(len(given), len(true))
    return 1 - _levenshtein(given, true) / longer if longer else 1.0


def _levenshtein(a: str, b: str) -> int:
    """Fewest characters to insert, delete or replace (Wagner and Fischer 1974), a row of the table at a time."""
    above = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        row = [i]
        for j, y in enumerate(b, start=1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y)))
        above = row
    return above[-1]
