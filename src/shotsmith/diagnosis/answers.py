"""Detect answers of the VLM that are all wrong, all the same, or missing."""

from __future__ import annotations

from collections import Counter

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding, Value
from shotsmith.evaluation.results import Result
from shotsmith.evaluation.unresponsive import as_told, nothing_right, sole_answer, vlm_answers

FAULT_SHARE = 0.05
"""Share of failed completions from which on the completions that remain may not be representative."""


def answers_all_wrong(evidence: Evidence) -> Finding | None:
    """No answer of the VLM has any score in the leading metric."""
    if not nothing_right(evidence.results):
        return None
    results = vlm_answers(evidence.results)
    text, count = Counter(result.text or "" for result in results).most_common(1)[0]
    values = _answer_values(results, text) | {"share": 100 * count / len(results)}
    return Finding("answers_all_wrong", "fault", values)


def answers_all_same(evidence: Evidence) -> Finding | None:
    """The VLM gave the same answer to all test queries with all demonstrations."""
    text = sole_answer(evidence.results)
    if text is None:
        return None
    return Finding("answers_all_same", "fault", _answer_values(vlm_answers(evidence.results), text))


def completions_all_same(evidence: Evidence) -> Finding | None:
    """All completions of the run have the same text; reported only while there are no test results."""
    if evidence.results or evidence.sole_completion is None:
        return None
    text, total = evidence.sole_completion
    return Finding("completions_all_same", "fault", {"text": as_told(text), "total": total})


def failed_answers(evidence: Evidence) -> Finding | None:
    """Some test queries have failed completions and are excluded from the accuracies."""
    reasons = Counter(result.failure or "" for result in evidence.results if result.failure is not None)
    failures, total = reasons.total(), len(evidence.results)
    if not failures:
        return None
    reason = reasons.most_common(1)[0][0].splitlines()
    values: dict[str, Value] = {
        "failures": failures,
        "total": total,
        "share": 100 * failures / total,
        "reason": "".join(reason[:1]),
    }
    return Finding("failed_answers", "fault" if failures >= FAULT_SHARE * total else "warning", values)


def failed_rollouts(evidence: Evidence) -> Finding | None:
    """Some completions of training or validation failed."""
    rollouts = sum(row.get("failures") or 0 for row in evidence.epochs)
    validation = sum(row.get("val/failures") or 0 for row in evidence.epochs)
    if not rollouts and not validation:
        return None
    requests = sum(row.get("vlm/requests") or 0 for row in evidence.epochs)
    failures = rollouts + validation
    values: dict[str, Value] = {"rollouts": int(rollouts), "validation": int(validation)}
    is_fault = requests and failures >= FAULT_SHARE * requests
    return Finding("failed_rollouts", "fault" if is_fault else "warning", values)


def _answer_values(results: list[Result], text: str) -> dict[str, Value]:
    queries = len({result.query_id for result in results})
    return {"total": len(results), "queries": queries, "text": as_told(text)}
