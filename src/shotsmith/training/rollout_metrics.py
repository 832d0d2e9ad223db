"""What an epoch's groups say: those that enter updates, and all that were sampled."""

from __future__ import annotations

import math

import torch

from shotsmith.training.advantages import SAME, Advantages, group_std
from shotsmith.training.groups import Groups


def advantage_metrics(advantages: Advantages, valid: torch.Tensor) -> dict[str, float]:
    """Of the groups that enter an update. adv_std and adv_max are means over groups.

    advantage_* are over all their rollouts; group/frac_signal is the share of the groups that carry signal.
    """
    values = advantages.values[valid]
    spread, _ = group_std(advantages.values, valid)
    metrics = {
        "adv_std": float(spread.mean()),
        "adv_max": float(advantages.values.abs().amax(1).mean()),
        "advantage_mean": float(values.mean()),
        "advantage_max": float(values.max()),
        "advantage_min": float(values.min()),
        "group/frac_signal": float(advantages.signal.float().mean()),
        "group/entered": float(len(valid)),
    }
    return metrics | ({"advantage_std": float(values.std())} if len(values) > 1 else {})


class SampledMetrics:
    """Figures of all groups sampled in an epoch, entering or not, added up step by step."""

    def __init__(self, highest_reward: float) -> None:
        """A rollout counts as good from half of `highest_reward` on."""
        self._good_from = highest_reward / 2
        self._groups = 0
        self._failures = 0
        self._of_group: dict[str, list[float]] = {}
        self._of_rollout: dict[str, list[float]] = {}
        self._answered_groups = 0
        self._answered = 0

    def add(self, groups: Groups) -> None:
        """Count the groups of a step; a failed rollout is counted as such, and is in no other figure."""
        present = (groups.sequences != -1).any(-1)
        self._groups += len(groups)
        self._failures += int((~groups.valid & present).sum())
        answered = groups[groups.valid.any(1)]
        valid = answered.valid
        self._answered_groups += len(answered)
        self._answered += int(valid.sum())
        spread, _ = group_std(answered.values, valid)
        good = (answered.values >= self._good_from) & valid
        all_good, all_bad = (good | ~valid).all(1), ~good.any(1)
        shown = (answered.sequences >= 0).sum(-1)
        _note(self._of_rollout, reward=answered.values[valid], demonstrations=shown[valid])
        _note(
            self._of_group,
            **{
                "reward_std": spread,
                "frac_reward_zero_std": spread <= SAME,
                "group/frac_all_good": all_good,
                "group/frac_all_bad": all_bad,
                "group/frac_mixed": ~all_good & ~all_bad,
            },
        )

    def metrics(self) -> dict[str, float]:
        """Means over rollouts and over groups; those of answered ones only where there are any."""
        metrics = {"failures": float(self._failures), "group/sampled": float(self._groups)}
        if self._answered:
            metrics |= {name: math.fsum(sums) / self._answered for name, sums in self._of_rollout.items()}
            metrics |= {name: math.fsum(sums) / self._answered_groups for name, sums in self._of_group.items()}
        return metrics


def _note(sums: dict[str, list[float]], **values: torch.Tensor) -> None:
    for name, tensor in values.items():
        sums.setdefault(name, []).append(float(tensor.double().sum()))
