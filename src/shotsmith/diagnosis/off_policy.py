"""Learning from recorded rollouts: how little they still say about the policy, and for how long they are reused."""

from __future__ import annotations

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding

FEW_COUNT = 0.5
"""Effective sample size of the importance weights, as a share, below which half of the rollouts are lost."""
REUSED = 3
"""Epochs over the same recorded rollouts beyond which they describe a policy that is no more."""
FRESH = {"grpo.sampling.source": "on_policy"}


def behaviour_ess_low(evidence: Evidence) -> Finding | None:
    """The policy has moved so far from the one that recorded that few rollouts count."""
    size = evidence.curve("behaviour_ess")
    if not size or size.lowest[1] >= FEW_COUNT:
        return None
    epoch, lowest = size.lowest
    values = {"ess": 100 * lowest, "epoch": epoch, "first": 100 * size.values[0], "last": 100 * size.values[-1]}
    recorded = evidence.setting("grpo.sampling.source") in ("recorded", "mixture")
    return Finding("behaviour_ess_low", "warning", values, FRESH if recorded else {"grpo.sampling.temperature": 1.0})


def never_on_policy(evidence: Evidence) -> Finding | None:
    """Every epoch of GRPO learned from the same recorded rollouts."""
    epochs = max((row["epoch"] for row in evidence.epochs if row["phase"] == "grpo"), default=0)
    if evidence.setting("grpo.sampling.source") != "recorded" or epochs <= REUSED:
        return None
    return Finding("never_on_policy", "warning", {"epochs": epochs}, FRESH)
