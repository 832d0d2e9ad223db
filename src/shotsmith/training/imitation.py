"""Imitation of recorded sequences: supervised training on beams, and reward-weighted cross-entropy (RCE) on rollouts.

Both phases make whole passes over recorded groups, with dropout; they differ in the loss of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from shotsmith.errors import InputError
from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import Policy, taken
from shotsmith.recipe import OptimizerSettings, RceSettings, SupervisedSettings
from shotsmith.training.advantages import standardise
from shotsmith.training.groups import Groups
from shotsmith.training.learner import Learner
from shotsmith.training.loop import PhaseRun, run_epochs
from shotsmith.training.losses import (
    cross_entropy,
    exact_entropy,
    mean_over_sequences,
    reward_weighted_cross_entropy,
)
from shotsmith.training.metrics_log import Means, MetricsRow
from shotsmith.training.seeding import QueryOrder, seeded
from shotsmith.training.validation import Validation

BatchLoss = Callable[[torch.Tensor, Groups, int], torch.Tensor]
"""The loss of a batch: (step distributions [B, G, T, K], batch, updates tried so far in the phase) -> scalar."""


@dataclass(frozen=True, slots=True)
class SupervisedData:
    """Training queries, and the weighted sequences to imitate."""

    inputs: InputsTable
    """The training queries."""
    beams: Groups
    """Sequences of some training queries; the values are weights (see groups.from_beams)."""


def train_supervised(
    policy: Policy,
    data: SupervisedData,
    validation: Validation,
    settings: SupervisedSettings,
    run: PhaseRun,
) -> list[MetricsRow]:
    """Train `policy` with teacher forcing on the beams; returns one row of metrics per epoch (see loop.run_epochs)."""

    def batch_loss(distributions: torch.Tensor, batch: Groups, _step: int) -> torch.Tensor:
        return weighted_cross_entropy(distributions, batch)

    return train_on_groups(policy, data.inputs, data.beams, validation, settings, run, batch_loss)


def weighted_cross_entropy(distributions: torch.Tensor, batch: Groups) -> torch.Tensor:
    """The mean cross-entropy of the steps of each sequence (STOP is a step), as weighted mean over the sequences."""
    losses = cross_entropy(distributions, batch.sequences)
    steps = taken(batch.sequences).sum(-1).clamp(min=1)
    weights = batch.values * batch.valid
    return (weights * losses.sum(-1) / steps).sum() / weights.sum()


def train_rce(
    policy: Policy,
    inputs: InputsTable,
    rollouts: Groups,
    validation: Validation,
    settings: RceSettings,
    run: PhaseRun,
) -> list[MetricsRow]:
    """Train `policy` on recorded rollouts, weighted by their rewards within the group.

    The values of the groups are rewards. Returns one row of metrics per epoch (see loop.run_epochs).
    """
    raw = settings.raw_rewards
    groups = rollouts if raw else rollouts.with_values(standardise(rollouts.values, rollouts.valid))
    steps = settings.epochs * steps_per_pass(groups, settings)

    def batch_loss(distributions: torch.Tensor, batch: Groups, step: int) -> torch.Tensor:
        tau = tau_at(step, steps, settings)
        return reward_weighted_cross_entropy(distributions, batch.sequences, batch.values, batch.valid, tau)

    return train_on_groups(policy, inputs, groups, validation, settings, run, batch_loss)


def tau_at(step: int, steps: int, settings: RceSettings) -> float:
    """The temperature of update `step` of `steps`: linear from `tau_start` to `tau_end`."""
    share = step / (steps - 1) if steps > 1 else 0.0
    return settings.tau_start + share * (settings.tau_end - settings.tau_start)


def train_on_groups(
    policy: Policy,
    inputs: InputsTable,
    groups: Groups,
    validation: Validation,
    settings: OptimizerSettings,
    run: PhaseRun,
    batch_loss: BatchLoss,
) -> list[MetricsRow]:
    """Train for `settings.epochs` passes over the groups in shuffled batches. Raises InputError if there are none."""
    if settings.epochs and not len(groups):
        raise InputError(f"there is nothing to train the {run.phase} phase on")
    order = QueryOrder(max(1, len(groups)), run.phase, run.seed)
    steps = steps_per_pass(groups, settings)

    def train_epoch(epoch: int, learner: Learner) -> dict[str, float]:
        means = Means()
        device = inputs.device
        policy.train()
        with seeded("dropout", run.phase, run.seed, epoch, device=device):
            for step in range(steps):
                done = step * settings.queries_per_step
                chosen = torch.tensor(order.take(min(settings.queries_per_step, len(groups) - done)))
                batch = groups[chosen].to(device)
                distributions = policy.step_distributions(
                    inputs.batch(groups.rows[chosen].numpy(), batch.shortlists), batch.sequences
                )
                loss = batch_loss(distributions, batch, (epoch - 1) * steps + step)
                entropy = mean_over_sequences(exact_entropy(distributions.detach()), taken(batch.sequences))
                updated = learner.update(loss)
                if updated is not None:
                    means.add(updated | {"loss": float(loss.detach()), "entropy": float(entropy)})
        metrics = means.means()
        return metrics | ({"train_loss": metrics["loss"]} if "loss" in metrics else {})

    return run_epochs(policy, settings, order, validation, run, train_epoch, updates=settings.epochs * steps)


def steps_per_pass(groups: Groups, settings: OptimizerSettings) -> int:
    """The number of batches in one pass; the last batch may be smaller."""
    return -(-len(groups) // settings.queries_per_step)
