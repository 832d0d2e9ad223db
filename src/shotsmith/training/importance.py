"""Importance ratios between the policies of a rollout: current, old, reference, and the behaviour that sampled it."""

from __future__ import annotations

from typing import Literal

import torch

Level = Literal["step", "sequence"]
"""A ratio for every step, or one for the whole sequence."""

MAX_LOG_RATIO = 20.0
"""Log-ratios are clamped to +- this before they are exponentiated."""


def log_ratios(log_probs: torch.Tensor, other: torch.Tensor, steps: torch.Tensor, level: Level) -> torch.Tensor:
    """log(policy / other) of the steps taken, clamped to +-20: [B, G, T], or their sum [B, G, 1] per sequence.

    All three are [B, G, T]; `steps` is bool, and a step that does not count has log-ratio 0. The ratio of a sequence
    is the true one, the product over its steps; GSPO (arXiv 2507.18071) takes the geometric mean of the steps.
    """
    differences = (log_probs - other).masked_fill(~steps, 0.0)
    if level == "sequence":
        differences = differences.sum(-1, keepdim=True)
    return differences.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)


def truncated_weights(
    old_log_probs: torch.Tensor, behaviour: torch.Tensor, steps: torch.Tensor, max_weight: float
) -> torch.Tensor:
    """old / behaviour probability of each sequence, at most `max_weight`: [B, G]. No gradient.

    `old_log_probs` are those of the steps [B, G, T] and `steps` (bool) the ones that count, `behaviour` [B, G] those
    of whole sequences; NaN where it is not known, which weighs 1. Truncated importance sampling (Ionides 2008).
    """
    old = old_log_probs.detach().masked_fill(~steps, 0.0).sum(-1)
    ratio = (old - behaviour).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    return ratio.clamp(max=max_weight).masked_fill(behaviour.isnan(), 1.0)


def effective_sample_size(weights: torch.Tensor, counted: torch.Tensor) -> float:
    """(sum w)^2 / (n sum w^2) of the counted weights (any shape, bool): Kish's size as a share of their number n."""
    weights = weights.masked_fill(~counted, 0.0)
    return float(weights.sum().square() / (counted.sum() * weights.square().sum()))
