"""Whole passes over recorded groups, with dropout: what supervised training and RCE share."""

from __future__ import annotations

from collections.abc import Callable

import torch

from shotsmith.errors import InputError
from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import Policy, taken
from shotsmith.recipe import OptimizerSettings
from shotsmith.training.groups import Groups
from shotsmith.training.kl import exact_entropy
from shotsmith.training.learner import Learner
from shotsmith.training.loop import PhaseRun, run_epochs
from shotsmith.training.losses import mean_over_sequences
from shotsmith.training.means import Means
from shotsmith.training.metrics_log import Row
from shotsmith.training.order import QueryOrder
from shotsmith.training.seeding import seeded
from shotsmith.training.validation import Validation

BatchLoss = Callable[[torch.Tensor, Groups, int], torch.Tensor]
"""(step distributions [B, G, T, K], the batch, updates tried so far in the phase) -> scalar loss."""


def train_on_groups(
    policy: Policy,
    inputs: InputsTable,
    groups: Groups,
    validation: Validation,
    settings: OptimizerSettings,
    run: PhaseRun,
    batch_loss: BatchLoss,
) -> list[Row]:
    """Train `settings.epochs` passes over the groups in shuffled batches. Raises InputError where there are none."""
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
    """Batches in one pass; the last may be smaller."""
    return -(-len(groups) // settings.queries_per_step)
