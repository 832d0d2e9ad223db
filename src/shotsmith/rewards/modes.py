"""The predecessor's ways to combine rewards, as its RL data and its REWARD_MODE name them.

Written h for `correct`, s for `vqa_accuracy`, p for `gt_prob`, r for `relevance`, q for `log_prob_gain` (its quality,
the InfoScore); w holds the weights. As h is 0 or 1, `separated` is `hard_plus_soft_v2` under another name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shotsmith.recipe import RewardSettings

_LIMIT = 5.0


@dataclass(frozen=True, slots=True)
class Mode:
    """Names of rewards, and a formula of the weights and those rewards, in that order."""

    rewards: tuple[str, ...]
    formula: Callable[..., float]

    def combine(self, settings: RewardSettings, *values: float) -> float:
        """The formula's value, clipped to -5 .. 5."""
        return max(-_LIMIT, min(_LIMIT, self.formula(settings, *values)))


_H, _S, _P, _R, _Q = "correct", "vqa_accuracy", "gt_prob", "relevance", "log_prob_gain"

MODES: dict[str, Mode] = {
    "hard_plus_soft": Mode((_H, _S), lambda w, h, s: w.hard_weight * h + w.soft_weight * s),
    "hard_plus_soft_v2": Mode((_H, _S), lambda w, h, s: 2 * w.hard_weight * h + w.soft_weight * s),
    "separated": Mode((_H, _S), lambda w, h, s: 2 * w.hard_weight * h + w.soft_weight * s),
    "hard_only": Mode((_H,), lambda w, h: w.hard_weight * h),
    "soft_only": Mode((_S,), lambda w, s: w.soft_weight * s),
    "hard01_plus_gtprob": Mode((_H, _P), lambda w, h, p: w.hard_weight * h + w.soft_weight * p),
    "hard01_plus_gtprob_separated": Mode((_H, _P), lambda w, h, p: 2 * w.hard_weight * h + w.soft_weight * p),
    "hard_plus_gtprob_plus_rel": Mode(
        (_H, _P, _R),
        lambda w, h, p, r: w.hard_weight * h + w.soft_weight * p + w.relevance_weight * (1 - h) * r,
    ),
    "legacy": Mode((_H, _Q), lambda w, h, q: w.hard_weight * h + w.soft_weight * q),
}
"""Every mode of the recipe but the weighted sum."""
