"""Ratios of current to old policy: mostly clipped, ruled by a few rollouts, or never away from 1."""

from __future__ import annotations

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding

CLIPPED = 0.3
"""Share of the ratios cut off, mean over the epochs, from which on much of each batch gives no gradient."""
FEW_DECIDE = 0.5
"""Effective sample size, as a share, below which a few rollouts decide."""
EXTREME = 10.0
"""Largest ratio (mean over the updates of an epoch) far outside any clip range in use."""
UNMOVED = 1e-4
"""Distance from 1 that rounding alone explains."""


def clip_binds(evidence: Evidence) -> Finding | None:
    """A large share of the ratios lies outside the clip range."""
    clipped = evidence.curve("clip_ratio/region_mean")
    if not clipped or clipped.mean < CLIPPED:
        return None
    values = {"share": 100 * clipped.mean, "highest": 100 * clipped.highest[1], "epoch": clipped.highest[0]}
    return Finding("clip_binds", "warning", values, _smaller_steps(evidence))


def ratio_extreme(evidence: Evidence) -> Finding | None:
    """Ratios so uneven that a few rollouts decide the update."""
    largest, size = evidence.curve("ratio_max"), evidence.curve("ess")
    if not largest or not size or (largest.highest[1] <= EXTREME and size.lowest[1] >= FEW_DECIDE):
        return None
    values = {"ratio": largest.highest[1], "epoch": largest.highest[0], "ess": 100 * size.lowest[1]}
    return Finding("ratio_extreme", "warning", values, _smaller_steps(evidence))


def policy_unmoved(evidence: Evidence) -> Finding | None:
    """Several updates a batch, and after the first the policy is still the old one."""
    largest, iterations = evidence.curve("ratio_max"), evidence.number("grpo.num_iterations")
    if not largest or not iterations or iterations < 2 or abs(largest.highest[1] - 1) > UNMOVED:
        return None
    rate = evidence.number("grpo.learning_rate")
    settings = {} if rate is None else {"grpo.learning_rate": 10 * rate}
    return Finding("policy_unmoved", "fault", {"ratio": largest.highest[1], "iterations": int(iterations)}, settings)


def _smaller_steps(evidence: Evidence) -> dict[str, object]:
    iterations, rate = evidence.number("grpo.num_iterations"), evidence.number("grpo.learning_rate")
    fewer: dict[str, object] = {"grpo.num_iterations": int(iterations) // 2} if iterations and iterations > 1 else {}
    return fewer | ({} if rate is None else {"grpo.learning_rate": rate / 2})
