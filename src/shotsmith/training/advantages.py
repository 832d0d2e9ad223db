"""Advantages: how much better than its group a rollout did, and groups cut to their best rollouts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from shotsmith.recipe import AdvantageSettings

SAME = 1e-6
"""Rewards of a standard deviation up to this are equal apart from rounding errors."""

MAX_STANDARDISED = 3.0
"""Standardised rewards are clamped to +- this."""


@dataclass(frozen=True, slots=True)
class Advantages:
    """The advantages of B groups of G rollouts, and what they were made from."""

    values: torch.Tensor
    """[B, G] float32; 0 where a rollout is not valid or all rewards of its group are the same."""
    reward_std: torch.Tensor
    """[B] float32, unbiased standard deviation of each group's valid rewards, unweighted."""
    signal: torch.Tensor
    """[B] bool: the standard deviation of the group's rewards exceeds `signal_std`."""
    zero_std: torch.Tensor
    """[B] bool: all of the group's rewards are the same."""


def advantages(
    rewards: torch.Tensor, valid: torch.Tensor, settings: AdvantageSettings, weights: torch.Tensor | None = None
) -> Advantages:
    """Advantages of `rewards` [B, G] by `settings.estimator` (see ESTIMATORS), over the `valid` rollouts [B, G].

    `weights` [B, G] >= 0 are the weights of sequences drawn without replacement (Policy.sample_distinct). Baseline and
    deviation are then self-normalised estimates for the policy that was sampled; a rollout of weight 0 is ignored.
    Only ratios of the weights within a group matter, and equal weights give the same result as none.
    """
    rewards = rewards.double()
    counted = valid if weights is None else valid & (weights > 0)
    shares = _shares(counted, weights)
    std, _ = group_std(rewards, counted)
    differ = std > SAME
    values = ESTIMATORS[settings.estimator](rewards, shares, max(settings.min_std, SAME))
    values = values.masked_fill(~(counted & differ[:, None]), 0.0)
    if settings.clip:
        values = values.clamp(-settings.clip, settings.clip)
    return Advantages(
        values=values.float(),
        reward_std=std.float(),
        signal=std > max(settings.signal_std, SAME),
        zero_std=~differ,
    )


def standardise(rewards: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Standardised rewards [B, G]: (reward - mean) / unbiased standard deviation of the group, clamped to +-3.

    0 where all rewards of the group are the same.
    """
    std, centred = group_std(rewards, valid)
    scaled = torch.where(std[:, None] > SAME, centred / std[:, None].clamp(min=SAME), 0.0)
    return scaled.clamp(-MAX_STANDARDISED, MAX_STANDARDISED).float()


def group_std(values: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unbiased standard deviation [B] and deviations from the mean [B, G] of the valid values, in float64.

    A group of fewer than two valid values has standard deviation 0.
    """
    shares = _shares(valid, None)
    centred = _centred(values.double(), shares)
    return _std(centred, shares), centred


def _shares(counted: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """[B, G] float64, 0 where not counted: the weights, scaled to sum to the number counted in each group."""
    if weights is None:
        return counted.double()
    shares = weights.double().masked_fill(~counted, 0.0)
    return _over(shares * counted.sum(1, keepdim=True), shares.sum(1, keepdim=True))


def _over(values: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """`values / total`, or `values` where the total is 0."""
    return values / total.masked_fill(total == 0, 1.0)


def _centred(rewards: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Deviations from the weighted mean of the group; 0 where not counted."""
    mean = _over((shares * rewards).sum(1, keepdim=True), shares.sum(1, keepdim=True))
    return (rewards - mean).masked_fill(shares == 0, 0.0)


def _std(centred: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Weighted standard deviation of each group [B]; with equal weights the unbiased one."""
    return ((shares * centred.square()).sum(1) / (shares.sum(1) - 1).clamp(min=1)).sqrt()


def _group(rewards: torch.Tensor, shares: torch.Tensor, floor: float) -> torch.Tensor:
    """The z-score in the group (arXiv 2402.03300, section 4.1.2); the deviation is at least `floor`."""
    centred = _centred(rewards, shares)
    return centred / _std(centred, shares)[:, None].clamp(min=floor)


def _centered(rewards: torch.Tensor, shares: torch.Tensor, _floor: float) -> torch.Tensor:
    """Reward minus the mean of the group (Dr. GRPO, arXiv 2503.20783)."""
    return _centred(rewards, shares)


def _batch(rewards: torch.Tensor, shares: torch.Tensor, floor: float) -> torch.Tensor:
    """Reward minus the mean of the group, over the deviation of all such differences in the batch."""
    centred = _centred(rewards, shares)
    return centred / _std(centred.reshape(1, -1), shares.reshape(1, -1)).clamp(min=floor)


def _rank(rewards: torch.Tensor, shares: torch.Tensor, _floor: float) -> torch.Tensor:
    """Average ranks, scaled to [-1, 1]: the share of the others that are worse, minus that of those that are better.

    Weights do not change the ranks; the weighted mean of the ranks is subtracted.
    """
    counted = shares > 0
    against = (rewards[:, :, None] - rewards[:, None, :]).sign() * counted[:, None, :]
    return _centred(against.sum(2) / (counted.sum(1, keepdim=True) - 1).clamp(min=1), shares)


def _rloo(rewards: torch.Tensor, shares: torch.Tensor, _floor: float) -> torch.Tensor:
    """Reward minus the mean of the others (RLOO, arXiv 2402.14740); with weights, their self-normalised mean."""
    others = shares[:, None, :] * (1 - torch.eye(shares.shape[1], dtype=shares.dtype, device=shares.device))
    return rewards - _over((others * rewards[:, None, :]).sum(2), others.sum(2))


ESTIMATORS: dict[str, Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]] = {
    "group": _group,
    "centered": _centered,
    "batch": _batch,
    "rank": _rank,
    "rloo": _rloo,
}
"""(rewards [B, G] float64, shares [B, G] summing to the number counted, least deviation) -> advantages [B, G]."""


def kept_in_epoch(epoch: int, schedule: tuple[int, ...]) -> int | None:
    """The number of rollouts kept of each group in `epoch` (from 1); None keeps whole groups.

    `schedule` holds one number per epoch; the last one holds for all later epochs.
    """
    return schedule[min(epoch, len(schedule)) - 1] if schedule else None


def keep_top(rewards: torch.Tensor, valid: torch.Tensor, number: int) -> torch.Tensor:
    """Mask [B, G] of the `number` valid rollouts with the highest rewards in each group; earlier ones win ties.

    Cutting a group to its best rollouts removes the contrast that GRPO learns from.
    """
    best_first = rewards.masked_fill(~valid, -torch.inf).argsort(dim=1, descending=True, stable=True)
    place = best_first.argsort(dim=1)
    return (place < number) & valid
