"""KL divergence from the reference policy: exact, since a step has at most a pool of choices, or estimated."""

from __future__ import annotations

from collections.abc import Callable

import torch

from shotsmith.training.importance import Level, log_ratios


def exact_kl(log_probs: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """KL(policy || reference) of each step: log-probabilities [..., K], -inf where excluded -> [...].

    Infinite where the policy can choose what the reference excludes. In nats; exactly 0 where the two are equal.
    """
    excluded = log_probs == -torch.inf
    difference = log_probs.masked_fill(excluded, 0.0) - reference.masked_fill(excluded, 0.0)
    return (log_probs.exp() * difference).sum(-1)


def exact_entropy(log_probs: torch.Tensor) -> torch.Tensor:
    """Entropy of each step in nats: [..., K] -> [...]."""
    return -(log_probs.exp() * log_probs.masked_fill(log_probs == -torch.inf, 0.0)).sum(-1)


def estimated_kl(
    log_probs: torch.Tensor, reference: torch.Tensor, steps: torch.Tensor, estimator: str, level: Level
) -> torch.Tensor:
    """An estimator of ESTIMATORS at what was sampled: [B, G, T], or [B, G, 1] at level 'sequence'.

    `log_probs` and `reference` [B, G, T] are those of the steps taken, `steps` the ones that count; 0 elsewhere. For
    samples of the policy a step estimates its own KL, a sequence the sum of the KL of its steps.
    """
    return ESTIMATORS[estimator](log_ratios(log_probs, reference, steps, level))


def _k1(x: torch.Tensor) -> torch.Tensor:
    """Unbiased, of either sign. In the loss its gradient is 0 on average; it belongs in the reward."""
    return x


def _k2(x: torch.Tensor) -> torch.Tensor:
    """Biased, never negative. In the loss its gradient on average is that of KL(policy || reference)."""
    return x.square() / 2


def _k3(x: torch.Tensor) -> torch.Tensor:
    """Unbiased, never negative. In the loss its gradient on average is that of KL(reference || policy)."""
    return torch.expm1(-x) + x


def _k3_reversed(x: torch.Tensor) -> torch.Tensor:
    """k3 for samples of the reference: unbiased for KL(reference || policy), value and gradient.

    For samples of the policy it is chi^2(policy, reference) - KL(policy || reference), which explodes.
    """
    return torch.expm1(x) - x


ESTIMATORS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "k1": _k1,
    "k2": _k2,
    "k3": _k3,
    "k3_reversed": _k3_reversed,
}
"""x = log(policy / reference) of what was sampled -> its KL (Schulman 2020, joschu.net/blog/kl-approx.html).

What is said of bias and gradients holds for samples of the current policy, unless said otherwise.
"""
