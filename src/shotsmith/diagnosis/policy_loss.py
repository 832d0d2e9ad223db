"""A PPO loss around 0, whose sign is easily taken for news."""

from __future__ import annotations

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding

NEAR_ZERO = 0.01
"""With advantages of spread 1, a mean so small is what rounding, weights and a hundredth of a ratio leave."""


def ppo_loss_sign(evidence: Evidence) -> Finding | None:
    """The loss is of either sign and close to 0 throughout."""
    loss = evidence.curve("ppo_loss")
    positive = sum(value > 0 for value in loss.values)
    negative = sum(value < 0 for value in loss.values)
    if not positive or not negative or max(map(abs, loss.values)) > NEAR_ZERO:
        return None
    values = {"positive": positive, "negative": negative, "lowest": loss.lowest[1], "highest": loss.highest[1]}
    return Finding("ppo_loss_sign", "note", values)
