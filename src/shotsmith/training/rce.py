"""RCE warm-up: cross-entropy on recorded rollouts, weighted by their reward within the group."""

from __future__ import annotations

import torch

from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.pointer import PointerPolicy
from shotsmith.recipe import RceSettings
from shotsmith.training.advantages import SAME, group_std
from shotsmith.training.groups import Groups
from shotsmith.training.loop import PhaseRun
from shotsmith.training.losses import reward_weighted_cross_entropy
from shotsmith.training.metrics_log import Row
from shotsmith.training.passes import steps_per_pass, train_on_groups
from shotsmith.training.validation import Validation

MAX_STANDARDISED = 3.0
"""Standardised rewards are clamped to +- this."""


def train_rce(
    policy: PointerPolicy,
    inputs: InputsTable,
    rollouts: Groups,
    validation: Validation,
    settings: RceSettings,
    run: PhaseRun,
) -> list[Row]:
    """Train on recorded rollouts with dropout; the values of the groups are rewards (see loop.run_epochs)."""
    values = rollouts.values if settings.raw_rewards else standardised(rollouts.values, rollouts.valid)
    groups = Groups(rollouts.rows, rollouts.sequences, values, rollouts.valid)
    steps = settings.epochs * steps_per_pass(groups, settings)

    def batch_loss(distributions: torch.Tensor, batch: Groups, step: int) -> torch.Tensor:
        tau = tau_at(step, steps, settings)
        return reward_weighted_cross_entropy(distributions, batch.sequences, batch.values, batch.valid, tau)

    return train_on_groups(policy, inputs, groups, validation, settings, run, batch_loss)


def standardised(rewards: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """(reward - mean) / unbiased std of each group [B, G], clamped to +-3; 0 where all rewards are the same."""
    std, centred = group_std(rewards, valid)
    scaled = torch.where(std[:, None] > SAME, centred / std[:, None].clamp(min=SAME), 0.0)
    return scaled.clamp(-MAX_STANDARDISED, MAX_STANDARDISED).float()


def tau_at(step: int, steps: int, settings: RceSettings) -> float:
    """The temperature of a step: linear from tau_start at the first to tau_end at the last."""
    share = step / (steps - 1) if steps > 1 else 0.0
    return settings.tau_start + share * (settings.tau_end - settings.tau_start)
