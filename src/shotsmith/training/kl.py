"""Exact KL divergence and entropy of step distributions: over at most a pool of candidates both can be summed."""

from __future__ import annotations

import torch


def exact_kl(log_probs: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """KL(policy || reference) of each step: log-probabilities [..., K], -inf where excluded -> [...].

    The two must exclude the same candidates. In nats; exactly 0 where the two are equal.
    """
    possible = log_probs.isfinite()
    difference = log_probs.masked_fill(~possible, 0.0) - reference.masked_fill(~possible, 0.0)
    return (log_probs.exp() * difference).sum(-1)


def exact_entropy(log_probs: torch.Tensor) -> torch.Tensor:
    """Entropy of each step in nats: [..., K] -> [...]."""
    return -(log_probs.exp() * log_probs.masked_fill(~log_probs.isfinite(), 0.0)).sum(-1)
