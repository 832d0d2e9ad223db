"""One step of GRPO: the batch that is fixed over the updates of the step, and one update.

Four policies are involved: the policy being trained; the old policy, with which ratios are formed (the policy at the
beginning of the step, or the reference with `reference.old_is_reference`); the behaviour policy, which chose the
sequences (it differs from the old policy for recorded rollouts and for temperatures other than 1); and the reference,
from which KL is measured.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch

from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import BankInputs, Inputs, Policy, pick, taken
from shotsmith.recipe import GrpoSettings
from shotsmith.training.advantages import Advantages, advantages, keep_top, standardise
from shotsmith.training.groups import Groups
from shotsmith.training.learner import Learner
from shotsmith.training.losses import (
    MAX_IMPORTANCE_WEIGHT,
    clipped_surrogate,
    effective_sample_size,
    exact_entropy,
    mean_over_sequences,
    truncated_weights,
)
from shotsmith.training.reference import Reference, divergence


@dataclass(frozen=True, slots=True)
class UpdateBatch:
    """The groups of one step, and the tensors that are fixed over its updates."""

    inputs: Inputs | BankInputs
    groups: Groups
    advantages: Advantages
    steps: torch.Tensor
    """[B, G, T] bool: the steps that count."""
    reference: torch.Tensor
    """[B, G, T, K] log-probabilities under the reference policy."""
    old_log_probs: torch.Tensor | None
    """[B, G, T] log-probabilities under the old policy; None until the first update has computed them."""


@torch.no_grad()
def prepare(
    policy: Policy,
    reference: Reference,
    inputs: InputsTable,
    groups: Groups,
    settings: GrpoSettings,
    kept: int | None = None,
) -> UpdateBatch:
    """Compute the batch of a step from its groups; `kept` is the number of best rollouts to keep of each group."""
    embedded = inputs.batch(groups.rows.numpy(), groups.shortlists)
    groups = groups.to(inputs.device)
    sequences = groups.sequences
    under_reference = reference.policy.step_distributions(embedded, sequences)
    values = standardise(groups.values, groups.valid) if settings.advantage.standardise_rewards else groups.values
    old_log_probs = pick(under_reference, sequences) if settings.reference.old_is_reference else None
    in_reward = settings.kl.placement == "reward"
    if in_reward or (settings.dropout and old_log_probs is None):
        distributions = policy.eval().step_distributions(embedded, sequences)
        if old_log_probs is None:
            old_log_probs = pick(distributions, sequences)
        if in_reward:
            kl = divergence(distributions, under_reference, sequences, taken(sequences), settings)
            values = values - reference.beta * kl.sum(-1)
    if kept is not None:
        groups = groups.where(keep_top(values, groups.valid, kept))
    return UpdateBatch(
        inputs=embedded,
        groups=groups,
        advantages=advantages(values, groups.valid, settings.advantage, groups.weights),
        steps=taken(sequences) & groups.valid[..., None],
        reference=under_reference,
        old_log_probs=old_log_probs,
    )


def update(
    policy: Policy, reference: Reference, learner: Learner, batch: UpdateBatch, settings: GrpoSettings
) -> tuple[dict[str, float], UpdateBatch]:
    """Make one update; returns its metrics, from before the weights changed, and the batch for the next update."""
    policy.train(settings.dropout)
    groups, steps = batch.groups, batch.steps
    distributions = policy.step_distributions(batch.inputs, groups.sequences)
    log_probs = pick(distributions, groups.sequences)
    old = log_probs.detach() if batch.old_log_probs is None else batch.old_log_probs
    importance = truncated_weights(old, groups.behaviour, steps, MAX_IMPORTANCE_WEIGHT)
    weights = groups.weights if settings.sampling.distinct else None
    clipped = clipped_surrogate(log_probs, old, batch.advantages.values, steps, settings, importance, weights)
    divergences = divergence(distributions, batch.reference, groups.sequences, steps, settings)
    counted = steps if divergences.shape == steps.shape else steps.any(-1, keepdim=True)
    kl = mean_over_sequences(divergences, counted, weights)
    entropy = mean_over_sequences(exact_entropy(distributions), steps, weights)
    in_loss = reference.beta if settings.kl.placement == "loss" else 0.0
    loss = clipped.loss + in_loss * kl - settings.entropy_coef * entropy
    metrics = clipped.metrics | {
        "loss": float(loss.detach()),
        "ppo_loss": float(clipped.loss.detach()),
        "kl": float(kl.detach()),
        "entropy": float(entropy.detach()),
        "behaviour_ess": effective_sample_size(importance, groups.valid),
    }
    finite = all(math.isfinite(value) for value in metrics.values())
    updated = learner.update(loss)
    if updated is not None:
        reference.after_update(metrics["kl"])
    return (metrics if finite else {}) | (updated or {}), dataclasses.replace(batch, old_log_probs=old)
