"""A KL coefficient that its controller has driven to the end of its range."""

from __future__ import annotations

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding

MOST = 0.5
"""Share of the epochs at a bound from which on the controller is at its end, and not only passing by."""
NEAR = 1.01
"""Factor within which beta is at a bound: logs round it."""
FIXED = {"grpo.kl.controller": "fixed", "grpo.beta": 0.01}


def beta_at_bound(evidence: Evidence) -> Finding | None:
    """Beta at its floor (KL costs nothing any more) or at its ceiling (it outweighs the rewards)."""
    beta = evidence.curve("beta")
    if not beta or evidence.setting("grpo.kl.controller") == "fixed":
        return None
    bounds = evidence.number("grpo.kl.min_beta"), evidence.number("grpo.kl.max_beta")
    for key, bound in zip(("beta_at_floor", "beta_at_ceiling"), bounds, strict=True):
        if not bound:
            continue
        at = [value for value in beta.values if bound / NEAR <= value <= bound * NEAR]
        if len(at) >= MOST * len(beta):
            values = {
                "beta": at[-1],
                "bound": bound,
                "at": len(at),
                "share": 100 * len(at) / len(beta),
                "epochs": len(beta),
            }
            return Finding(key, "warning", values, FIXED)
    return None
