"""Answers that no choice of demonstrations explains: all of them the same, or none of them right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shotsmith.evaluation.accuracies import measured
from shotsmith.evaluation.controls import control_of
from shotsmith.evaluation.majority_vote import MAJORITY_VOTE
from shotsmith.evaluation.results import Result
from shotsmith.metrics.vqa import normalise

FEWEST = 10
"""Queries from which on this is no coincidence."""
_LONGEST = 60
"""Characters of an answer that are told."""


def vlm_answers(results: Iterable[Result]) -> list[Result]:
    """The results that the VLM answered, without controls; none where these are of fewer than FEWEST queries."""
    answered = [
        one
        for one in results
        if one.text is not None and not one.selector.startswith(MAJORITY_VOTE) and control_of(one.selector) is None
    ]
    return answered if len({one.query_id for one in answered}) >= FEWEST else []


def sole_answer(results: Iterable[Result]) -> str | None:
    """The answer that the VLM gave to every query after all demonstrations; None where it gave several."""
    answered = vlm_answers(results)
    if not answered or len({normalise(one.text or "") for one in answered}) > 1:
        return None
    return as_told(answered[0].text or "")


def nothing_right(results: Sequence[Result]) -> bool:
    """Whether no answer of the VLM earned anything in the leading metric."""
    answered = vlm_answers(results)
    if not answered:
        return False
    metric = measured(answered)[0]
    return not any(one.value(metric) for one in answered)


def as_told(text: str) -> str:
    """An answer on one line, cut where it is long."""
    return " ".join(text.split())[:_LONGEST]
