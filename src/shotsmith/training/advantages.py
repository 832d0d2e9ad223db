"""Advantages: how much better than its group a rollout did."""

from __future__ import annotations

from dataclasses import dataclass

import torch

SAME = 1e-6
"""Rewards whose standard deviation is below this are the same but for rounding."""


@dataclass(frozen=True, slots=True)
class Advantages:
    """The advantages of B groups of G rollouts, and what they were made from."""

    values: torch.Tensor
    """[B, G] float32; 0 where a rollout is not valid or its group has no signal."""
    reward_std: torch.Tensor
    """[B] unbiased standard deviation of each group's valid rewards."""
    signal: torch.Tensor
    """[B] bool: the group tells its rollouts apart."""
    zero_std: torch.Tensor
    """[B] bool: all of the group's rewards are the same."""


def group_advantages(rewards: torch.Tensor, valid: torch.Tensor, min_std: float) -> Advantages:
    """(reward - mean) / (std + min_std) within each group of `rewards` [B, G], valid rollouts only.

    This is GRPO's outcome advantage (arXiv 2402.03300, section 4.1.2), damped by `min_std`. A group carries
    signal where std > min_std: its advantages then have a standard deviation above 0.5. Below that its rewards
    differ by less than what the damping takes for noise, and other queries are better worth the update.
    """
    std, centred = group_std(rewards, valid)
    return Advantages(
        values=torch.where(std[:, None] > SAME, centred / (std[:, None] + min_std), 0.0).float(),
        reward_std=std.float(),
        signal=std > max(min_std, SAME),
        zero_std=std <= SAME,
    )


def group_std(values: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unbiased standard deviation [B] and deviations from the mean [B, G] of the valid values, in float64.

    A group of fewer than two valid values has standard deviation 0.
    """
    weights = valid.double()
    count = weights.sum(1)
    mean = (values.double() * weights).sum(1) / count.clamp(min=1)
    centred = (values.double() - mean[:, None]) * weights
    return (centred.square().sum(1) / (count - 1).clamp(min=1)).sqrt(), centred
