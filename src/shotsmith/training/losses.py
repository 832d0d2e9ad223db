"""Losses and importance ratios as pure functions over tensors.

Axes: B queries, G sequences, T steps, K choices of a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from shotsmith.policies.protocol import pick
from shotsmith.recipe import GrpoSettings

RatioLevel = Literal["step", "sequence"]
"""Whether importance ratios are formed per step or per sequence."""

MAX_IMPORTANCE_WEIGHT = 2.0
"""Cap of the weights old / behaviour policy, where the behaviour policy is another one and known."""
MAX_LOG_RATIO = 20.0
"""Log-ratios are clamped to [-MAX_LOG_RATIO, MAX_LOG_RATIO] before they are exponentiated."""


@dataclass(frozen=True, slots=True)
class ClippedLoss:
    """PPO's clipped surrogate, with metrics of the ratios between the current and the old policy."""

    loss: torch.Tensor
    """Scalar; to be minimised."""
    metrics: dict[str, float]
    """clip_ratio/*, ratio_mean, ratio_max and ess, over all steps that count (over sequences at that level)."""


def clipped_surrogate(
    log_probs: torch.Tensor,
    old_log_probs: torch.Tensor,
    advantages: torch.Tensor,
    steps: torch.Tensor,
    settings: GrpoSettings,
    importance: torch.Tensor | None = None,
    weights: torch.Tensor | None = None,
) -> ClippedLoss:
    """PPO's clipped loss -min(r A, clip(r, 1 - epsilon, 1 + epsilon_high) A), averaged by mean_over_sequences.

    `log_probs`, `old_log_probs` and `steps` (bool, the steps that count) are [B, G, T], `advantages` [B, G].
    PPO (arXiv 1707.06347, eq. 7) with the asymmetric clip of DAPO (arXiv 2503.14476); r is the ratio of a step, or of
    the sequence (`importance_level`).
    `importance` [B, G] multiplies each rollout's term, where another policy than the old one sampled it
    (see truncated_weights); `weights` [B, G] are the weights of distinct sampling (see mean_over_sequences).
    """
    ratio = log_ratios(log_probs, old_log_probs, steps, settings.importance_level).exp()
    counted = steps if settings.importance_level == "step" else steps.any(-1, keepdim=True)
    lowest, highest = 1 - settings.epsilon, 1 + settings.epsilon_high
    advantage = advantages[..., None]
    objective = torch.minimum(ratio * advantage, ratio.clamp(lowest, highest) * advantage)
    if importance is not None:
        objective = objective * importance[..., None]
    loss = -mean_over_sequences(objective, counted, weights)
    return ClippedLoss(loss, _ratio_metrics(ratio.detach(), advantage, counted, lowest, highest))


def _ratio_metrics(
    ratio: torch.Tensor, advantage: torch.Tensor, counted: torch.Tensor, lowest: float, highest: float
) -> dict[str, float]:
    low = ((ratio < lowest) & (advantage < 0) & counted).sum() / counted.sum()
    high = ((ratio > highest) & (advantage > 0) & counted).sum() / counted.sum()
    figures = {
        "clip_ratio/low_mean": low,
        "clip_ratio/high_mean": high,
        "clip_ratio/region_mean": low + high,
        "ratio_mean": ratio.masked_fill(~counted, 0.0).sum() / counted.sum(),
        "ratio_max": ratio.masked_fill(~counted, -torch.inf).max(),
    }
    metrics = dict(zip(figures, torch.stack(list(figures.values())).tolist(), strict=True))
    return metrics | {"ess": effective_sample_size(ratio, counted)}


def mean_over_sequences(values: torch.Tensor, steps: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """The mean over the steps of each sequence, then over all sequences with steps: [B, G, T] -> scalar.

    With `weights` [B, G] >= 0 of distinct sampling, the weighted mean over the sequences of each group (weights are
    scaled to sum to 1), then the mean over the groups with positive weights.
    """
    count = steps.sum(-1)
    per_sequence = values.masked_fill(~steps, 0.0).sum(-1) / count.clamp(min=1)
    if weights is None:
        return per_sequence.sum() / (count > 0).sum().clamp(min=1)
    weights = weights.masked_fill(count == 0, 0.0)
    total = weights.sum(-1)
    per_group = (weights * per_sequence).sum(-1) / total.masked_fill(total == 0, 1.0)
    return per_group.sum() / (total > 0).sum().clamp(min=1)


def cross_entropy(distributions: torch.Tensor, sequences: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each step of `sequences` [B, G, T] under `distributions` [B, G, T, K]: [B, G, T].

    0 where a sequence is padded.
    """
    return -pick(distributions, sequences)


def reward_weighted_cross_entropy(
    distributions: torch.Tensor, sequences: torch.Tensor, rewards: torch.Tensor, valid: torch.Tensor, tau: float
) -> torch.Tensor:
    """RCE: sum_i softmax(reward_i / tau) * cross-entropy of sequence i summed over its steps; mean over queries.

    `rewards` and `valid` are [B, G]; every group has at least one valid rollout.
    """
    weights = (rewards / tau).masked_fill(~valid, -torch.inf).softmax(-1)
    return (weights * cross_entropy(distributions, sequences).sum(-1)).sum(-1).mean()


def exact_entropy(log_probs: torch.Tensor) -> torch.Tensor:
    """Entropy of each step in nats: [..., K] -> [...]."""
    return -(log_probs.exp() * log_probs.masked_fill(log_probs == -torch.inf, 0.0)).sum(-1)


def log_ratios(log_probs: torch.Tensor, other: torch.Tensor, steps: torch.Tensor, level: RatioLevel) -> torch.Tensor:
    """Log-ratios log(policy / other) of the steps taken, clamped: [B, G, T], or their sum [B, G, 1] per sequence.

    All tensors are [B, G, T]; `steps` is bool, and a step that does not count has log-ratio 0. The ratio of a sequence
    is the product over its steps; GSPO (arXiv 2507.18071) takes the geometric mean of the steps instead.
    """
    differences = (log_probs - other).masked_fill(~steps, 0.0)
    if level == "sequence":
        differences = differences.sum(-1, keepdim=True)
    return differences.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)


def truncated_weights(
    old_log_probs: torch.Tensor, behaviour: torch.Tensor, steps: torch.Tensor, max_weight: float = MAX_IMPORTANCE_WEIGHT
) -> torch.Tensor:
    """old / behaviour probability of each sequence, at most `max_weight`: [B, G]. No gradient.

    `old_log_probs` [B, G, T] are per step, `steps` (bool) marks the steps that count, `behaviour` [B, G] is that
    of whole sequences. An unknown behaviour (NaN) has weight 1. Truncated importance sampling (Ionides 2008).
    """
    old = old_log_probs.detach().masked_fill(~steps, 0.0).sum(-1)
    ratio = (old - behaviour).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    return ratio.clamp(max=max_weight).masked_fill(behaviour.isnan(), 1.0)


def effective_sample_size(weights: torch.Tensor, counted: torch.Tensor) -> float:
    """Kish's effective sample size of the counted weights as a share of their number n: (sum w)^2 / (n sum w^2).

    `weights` and `counted` (bool) have the same shape, whichever it is.
    """
    weights = weights.masked_fill(~counted, 0.0)
    return float(weights.sum().square() / (counted.sum() * weights.square().sum()))
