"""Completions that the VLM did not give."""

from __future__ import annotations

from collections import Counter

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding, Value

FATAL = 0.05
"""Share of failed completions from which on what is left need not stand for the whole."""


def failed_answers(evidence: Evidence) -> Finding | None:
    """Test queries without an answer: they are left out, so that the accuracies are of the others."""
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
    return Finding("failed_answers", "fault" if failures >= FATAL * total else "warning", values)


def failed_rollouts(evidence: Evidence) -> Finding | None:
    """Completions that training or validation did not get."""
    rollouts = sum(row.get("failures") or 0 for row in evidence.epochs)
    validation = sum(row.get("val/failures") or 0 for row in evidence.epochs)
    if not rollouts and not validation:
        return None
    asked = sum(row.get("vlm/requests") or 0 for row in evidence.epochs)
    failures = rollouts + validation
    values: dict[str, Value] = {"rollouts": int(rollouts), "validation": int(validation)}
    return Finding("failed_rollouts", "fault" if asked and failures >= FATAL * asked else "warning", values)
