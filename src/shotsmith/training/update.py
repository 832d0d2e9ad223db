"""One step of GRPO: what is fixed over its updates, and one update.

Four policies are kept apart: the one being trained; the old one, that ratios are formed with (the policy as the step
began, or the reference where told so); the behaviour policy, that chose the sequences (it differs from the old one for
recorded rollouts and for temperatures other than 1); and the reference, that KL is measured from.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch

from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import BankInputs, Inputs, Policy, pick, taken
from shotsmith.recipe import GrpoSettings
from shotsmith.training.advantages import Advantages, advantages, standardise
from shotsmith.training.groups import Groups
from shotsmith.training.importance import effective_sample_size, truncated_weights
from shotsmith.training.kl import estimated_kl, exact_entropy, exact_kl
from shotsmith.training.learner import Learner
from shotsmith.training.losses import clipped_surrogate, mean_over_sequences
from shotsmith.training.reference import Reference
from shotsmith.training.truncation import keep_top


@dataclass(frozen=True, slots=True)
class Batch:
    """The groups of one step and what stays the same over its updates."""

    inputs: Inputs | BankInputs
    groups: Groups
    advantages: Advantages
    steps: torch.Tensor
    """[B, G, T] bool: the steps that count."""
    reference: torch.Tensor
    """[B, G, T, K] log-probabilities under the reference policy."""
    old_log_probs: torch.Tensor | None
    """[B, G, T] under the old policy; None: those of the first update's own forward pass."""


@torch.no_grad()
def prepare(
    policy: Policy,
    reference: Reference,
    inputs: InputsTable,
    groups: Groups,
    settings: GrpoSettings,
    kept: int | None = None,
) -> Batch:
    """The batch of some groups; `kept` cuts each of them to its best rollouts."""
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
    return Batch(
        inputs=embedded,
        groups=groups,
        advantages=advantages(values, groups.valid, settings.advantage, groups.weights),
        steps=taken(sequences) & groups.valid[..., None],
        reference=under_reference,
        old_log_probs=old_log_probs,
    )


def divergence(
    distributions: torch.Tensor,
    reference: torch.Tensor,
    sequences: torch.Tensor,
    steps: torch.Tensor,
    settings: GrpoSettings,
) -> torch.Tensor:
    """KL of each step [B, G, T], or estimated for each sequence as a whole [B, G, 1]; 0 where nothing counts."""
    if settings.kl.estimator == "exact":
        return exact_kl(distributions, reference).masked_fill(~steps, 0.0)
    taken_under = (pick(distributions, sequences), pick(reference, sequences))
    return estimated_kl(*taken_under, steps, settings.kl.estimator, settings.importance_level)


def update(
    policy: Policy, reference: Reference, learner: Learner, batch: Batch, settings: GrpoSettings
) -> tuple[dict[str, float], Batch]:
    """One update on a batch: its metrics (as they were before the weights changed), and the batch for the next one."""
    policy.train(settings.dropout)
    groups, steps = batch.groups, batch.steps
    distributions = policy.step_distributions(batch.inputs, groups.sequences)
    log_probs = pick(distributions, groups.sequences)
    old = log_probs.detach() if batch.old_log_probs is None else batch.old_log_probs
    importance = truncated_weights(old, groups.behaviour, steps, settings.sampling.max_importance_weight)
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
        reference.after_update(policy, metrics["kl"], int(groups.valid.sum()))
    return (metrics if finite else {}) | (updated or {}), dataclasses.replace(batch, old_log_probs=old)
