"""A policy that has stopped exploring."""

from __future__ import annotations

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding

COLLAPSED = 0.1
"""Share of its first entropy below which a policy samples nearly the same sequence again and again."""
BONUS = 0.002
"""Entropy bonus to begin with where there was none."""


def entropy_collapsed(evidence: Evidence) -> Finding | None:
    """Entropy fell to a small share of what it was in the first epoch of GRPO."""
    entropy = evidence.curve("entropy")
    if len(entropy) < 2:
        return None
    first, last = entropy.values[0], entropy.values[-1]
    if first <= 0 or last >= COLLAPSED * first:
        return None
    values = {"first": first, "last": last, "share": 100 * last / first}
    bonus = 5 * (evidence.number("grpo.entropy_coef") or 0.0) or BONUS
    return Finding("entropy_collapsed", "warning", values, {"grpo.entropy_coef": bonus})
