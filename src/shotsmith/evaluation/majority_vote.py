"""The answer that most demonstrations give, without asking the VLM: what their answers alone are worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Sequence as ManyOf

from shotsmith.evaluation.evaluate import answered
from shotsmith.evaluation.results import Result
from shotsmith.metrics.vqa import normalise
from shotsmith.selectors.protocol import Selector, Tasks

MAJORITY_VOTE = "majority_vote"


def majority_votes(tasks: Tasks, selector: Selector, shots: Iterable[int]) -> list[Result]:
    """Results of voting over the demonstrations that `selector` chooses, by shots and then by query.

    This is no selector but an answerer: each result holds the demonstrations voted over, and as its text the answer
    that won. It is never handed to the oracle, which may only know what the VLM has answered.
    """
    return [
        answered(tasks, row, sequence, vote(_answers(tasks, row, sequence)), MAJORITY_VOTE, number)
        for number in sorted(shots)
        for row, sequence in enumerate(selector.select(tasks, number))
    ]


def vote(answers: ManyOf[str]) -> str:
    """The most common answer, of equals the one nearest to the query (the last); "Two" and "2" are the same answer.

    A similarity selector puts the most similar demonstration next to the query: ties go to that one. Without
    answers the outcome is empty.
    """
    counts = Counter(normalise(answer) for answer in answers)
    return max(reversed(answers), key=lambda answer: counts[normalise(answer)], default="")


def _answers(tasks: Tasks, row: int, sequence: ManyOf[int]) -> list[str]:
    return [example.answer for example in tasks.demonstrations(row, tuple(sequence))]
