"""Losses as pure functions over tensors. Axes: B queries, G sequences, T steps, K candidates."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from shotsmith.policies.pointer import pick

MAX_LOG_RATIO = 20.0
"""Log-ratios are clamped to +- this before they are exponentiated."""


@dataclass(frozen=True, slots=True)
class ClippedLoss:
    """PPO's clipped surrogate and how far the policy has moved from the one that sampled."""

    loss: torch.Tensor
    """Scalar; to be minimised."""
    metrics: dict[str, float]
    """clip_ratio/*, ratio_mean, ratio_max and ess, over all valid steps."""


def clipped_surrogate(
    log_probs: torch.Tensor,
    old_log_probs: torch.Tensor,
    advantages: torch.Tensor,
    steps: torch.Tensor,
    epsilon: float,
    epsilon_high: float,
) -> ClippedLoss:
    """-min(r A, clip(r, 1 - epsilon, 1 + epsilon_high) A), averaged over steps, then over sequences.

    `log_probs`, `old_log_probs` and `steps` (bool, the steps that count) are [B, G, T], `advantages` [B, G].
    PPO (arXiv 1707.06347, eq. 7) with the asymmetric clip of DAPO (arXiv 2503.14476); r is the ratio of a step.
    """
    ratio = (log_probs - old_log_probs).masked_fill(~steps, 0.0).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    advantage = advantages[..., None]
    clipped = ratio.clamp(1 - epsilon, 1 + epsilon_high)
    loss = -mean_over_sequences(torch.minimum(ratio * advantage, clipped * advantage), steps)
    moved = ratio.detach()
    low = ((moved < 1 - epsilon) & (advantage < 0))[steps].float()
    high = ((moved > 1 + epsilon_high) & (advantage > 0))[steps].float()
    real = moved[steps]
    metrics = {
        "clip_ratio/low_mean": float(low.mean()),
        "clip_ratio/high_mean": float(high.mean()),
        "clip_ratio/region_mean": float((low + high).mean()),
        "ratio_mean": float(real.mean()),
        "ratio_max": float(real.max()),
        "ess": float(real.sum().square() / (len(real) * real.square().sum())),
    }
    return ClippedLoss(loss, metrics)


def mean_over_sequences(values: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """The mean over the steps of each sequence, then over the sequences that have any: [B, G, T] -> scalar."""
    count = steps.sum(-1)
    per_sequence = values.masked_fill(~steps, 0.0).sum(-1) / count.clamp(min=1)
    return per_sequence.sum() / (count > 0).sum().clamp(min=1)


def cross_entropy(distributions: torch.Tensor, sequences: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
    """Cross-entropy of each step of `sequences` [B, G, T] under `distributions` [B, G, T, K]: [B, G, T].

    `label_smoothing` is the share of the target spread evenly over the candidates that are not excluded.
    0 where a sequence is padded.
    """
    loss = -pick(distributions, sequences)
    if not label_smoothing:
        return loss
    possible = distributions.isfinite()
    spread = -distributions.masked_fill(~possible, 0.0).sum(-1) / possible.sum(-1).clamp(min=1)
    return ((1 - label_smoothing) * loss + label_smoothing * spread).masked_fill(sequences < 0, 0.0)


def reward_weighted_cross_entropy(
    distributions: torch.Tensor, sequences: torch.Tensor, rewards: torch.Tensor, valid: torch.Tensor, tau: float
) -> torch.Tensor:
    """RCE: sum_i softmax(reward_i / tau) * cross-entropy of sequence i summed over its steps; mean over queries.

    `rewards` and `valid` are [B, G]; every group has at least one valid rollout.
    """
    weights = (rewards / tau).masked_fill(~valid, -torch.inf).softmax(-1)
    return (weights * cross_entropy(distributions, sequences).sum(-1)).sum(-1).mean()
