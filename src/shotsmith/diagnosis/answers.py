"""Answers that no choice of demonstrations explains: all of them wrong, or all of them the same."""

from __future__ import annotations

from collections import Counter

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding, Value
from shotsmith.evaluation.accuracies import measured
from shotsmith.evaluation.majority_vote import MAJORITY_VOTE
from shotsmith.evaluation.results import Result
from shotsmith.metrics.vqa import normalise

FEWEST = 10
"""Queries from which on this is no coincidence."""


def answers_all_wrong(evidence: Evidence) -> Finding | None:
    """No answer of the VLM earned anything in the leading metric."""
    answered = _answered(evidence)
    if not answered:
        return None
    metric = measured(answered)[0]
    if any(result.value(metric) for result in answered):
        return None
    text, count = Counter(result.text or "" for result in answered).most_common(1)[0]
    values = _counted(answered, text) | {"share": 100 * count / len(answered)}
    return Finding("answers_all_wrong", "fault", values)


def answers_all_same(evidence: Evidence) -> Finding | None:
    """The VLM gave one answer only, to all queries and after all demonstrations."""
    answered = _answered(evidence)
    if not answered or len({normalise(result.text or "") for result in answered}) > 1:
        return None
    return Finding("answers_all_same", "fault", _counted(answered, answered[0].text or ""))


def _answered(evidence: Evidence) -> list[Result]:
    """What the VLM answered; nothing where too few queries were asked."""
    answered = [
        result
        for result in evidence.results
        if result.text is not None and not result.selector.startswith(MAJORITY_VOTE)
    ]
    return answered if len({result.query_id for result in answered}) >= FEWEST else []


def _counted(answered: list[Result], text: str) -> dict[str, Value]:
    queries = len({result.query_id for result in answered})
    return {"total": len(answered), "queries": queries, "text": " ".join(text.split())[:60]}
