"""RCE warm-up: cross-entropy on recorded rollouts, weighted by their reward within the group."""

from __future__ import annotations

import torch

from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import Policy
from shotsmith.recipe import RceSettings
from shotsmith.training.advantages import standardise
from shotsmith.training.groups import Groups
from shotsmith.training.loop import PhaseRun
from shotsmith.training.losses import best_cross_entropy, reward_weighted_cross_entropy
from shotsmith.training.metrics_log import Row
from shotsmith.training.passes import steps_per_pass, train_on_groups
from shotsmith.training.validation import Validation


def train_rce(
    policy: Policy,
    inputs: InputsTable,
    rollouts: Groups,
    validation: Validation,
    settings: RceSettings,
    run: PhaseRun,
) -> list[Row]:
    """Train on recorded rollouts with dropout; the values of the groups are rewards (see loop.run_epochs)."""
    raw = settings.raw_rewards
    groups = rollouts if raw else rollouts.with_values(standardise(rollouts.values, rollouts.valid))
    steps = settings.epochs * steps_per_pass(groups, settings)

    def batch_loss(distributions: torch.Tensor, batch: Groups, step: int) -> torch.Tensor:
        if settings.top_1:
            return best_cross_entropy(distributions, batch.sequences, batch.values, batch.valid)
        tau = tau_at(step, steps, settings)
        return reward_weighted_cross_entropy(distributions, batch.sequences, batch.values, batch.valid, tau)

    return train_on_groups(policy, inputs, groups, validation, settings, run, batch_loss)


def tau_at(step: int, steps: int, settings: RceSettings) -> float:
    """The temperature of a step: linear from tau_start at the first to tau_end at the last."""
    share = step / (steps - 1) if steps > 1 else 0.0
    return settings.tau_start + share * (settings.tau_end - settings.tau_start)
