"""The same demonstration shown twice in one prompt."""

from __future__ import annotations

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding, Value


def repeated_demonstrations(evidence: Evidence) -> Finding | None:
    """Any repetition is one too many; told of the selector that repeats most."""
    shown: dict[str, list[bool]] = {}
    for result in evidence.results:
        if len(result.sequence) > 1:
            shown.setdefault(result.selector, []).append(len(set(result.sequence)) < len(result.sequence))
    if not any(any(repeats) for repeats in shown.values()):
        return None
    selector, repeats = max(shown.items(), key=lambda pair: sum(pair[1]) / len(pair[1]))
    count = sum(repeats)
    values: dict[str, Value] = {
        "selector": selector,
        "count": count,
        "total": len(repeats),
        "share": 100 * count / len(repeats),
    }
    return Finding("repeated_demonstrations", "fault", values)
