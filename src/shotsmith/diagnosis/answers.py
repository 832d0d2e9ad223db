"""Answers that no choice of demonstrations explains: all of them wrong, or all of them the same."""

from __future__ import annotations

from collections import Counter

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding, Value
from shotsmith.evaluation.results import Result
from shotsmith.evaluation.unresponsive import as_told, nothing_right, sole_answer, vlm_answers


def answers_all_wrong(evidence: Evidence) -> Finding | None:
    """No answer of the VLM earned anything in the leading metric."""
    if not nothing_right(evidence.results):
        return None
    answered = vlm_answers(evidence.results)
    text, count = Counter(result.text or "" for result in answered).most_common(1)[0]
    values = _counted(answered, text) | {"share": 100 * count / len(answered)}
    return Finding("answers_all_wrong", "fault", values)


def answers_all_same(evidence: Evidence) -> Finding | None:
    """The VLM gave one answer only, to all queries and after all demonstrations."""
    text = sole_answer(evidence.results)
    if text is None:
        return None
    return Finding("answers_all_same", "fault", _counted(vlm_answers(evidence.results), text))


def completions_all_same(evidence: Evidence) -> Finding | None:
    """Before there are test results: all that the VLM has answered in this run so far is one text."""
    if evidence.results or evidence.sole_completion is None:
        return None
    text, total = evidence.sole_completion
    return Finding("completions_all_same", "fault", {"text": as_told(text), "total": total})


def _counted(answered: list[Result], text: str) -> dict[str, Value]:
    queries = len({result.query_id for result in answered})
    return {"total": len(answered), "queries": queries, "text": as_told(text)}
