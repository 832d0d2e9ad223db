"""The reference policy, the KL divergence from it, and the coefficient beta that weighs the divergence."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping

import torch

from shotsmith.policies.protocol import Policy, pick
from shotsmith.recipe import GrpoSettings, KlSettings
from shotsmith.recipe.grpo import BETA_BOUNDS
from shotsmith.training.losses import RatioLevel, log_ratios

FACTOR = 1.5
"""Of the multiplicative controller."""
LEVEL_KL = (0.01, 0.1)
"""Nats: below the first the multiplicative controller divides beta, above the second it multiplies it."""


class Reference:
    """A frozen reference policy, and the coefficient beta of the divergence from it."""

    def __init__(self, policy: Policy, settings: GrpoSettings) -> None:
        """Copy `policy`: training it later does not change the reference."""
        self.policy = copy.deepcopy(policy).eval().requires_grad_(False)
        self.settings = settings
        self.beta = settings.beta

    def after_update(self, kl: float) -> None:
        """Adapt beta to the `kl` of an update."""
        self.beta = next_beta(self.beta, kl, self.settings.kl)

    def state(self) -> tuple[Mapping[str, torch.Tensor], Mapping[str, float]]:
        """The state that resuming needs."""
        return {}, {"beta": self.beta}

    def restore(self, _tensors: Mapping[str, torch.Tensor], numbers: Mapping[str, float]) -> None:
        """Restore what `state` returned."""
        self.beta = numbers["beta"]


def divergence(
    distributions: torch.Tensor,
    reference: torch.Tensor,
    sequences: torch.Tensor,
    steps: torch.Tensor,
    settings: GrpoSettings,
) -> torch.Tensor:
    """KL of each step [B, G, T], or the estimate for each whole sequence [B, G, 1]; 0 where a step does not count."""
    if settings.kl.estimator == "exact":
        return exact_kl(distributions, reference).masked_fill(~steps, 0.0)
    taken_under = (pick(distributions, sequences), pick(reference, sequences))
    return estimated_kl(*taken_under, steps, settings.kl.estimator, settings.importance_level)


def exact_kl(log_probs: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """KL(policy || reference) of each step: log-probabilities [..., K] (-inf where excluded) -> [...].

    In nats. Infinite where the policy can choose what the reference excludes; exactly 0 where both are equal.
    """
    excluded = log_probs == -torch.inf
    difference = log_probs.masked_fill(excluded, 0.0) - reference.masked_fill(excluded, 0.0)
    return (log_probs.exp() * difference).sum(-1)


def estimated_kl(
    log_probs: torch.Tensor, reference: torch.Tensor, steps: torch.Tensor, estimator: str, level: RatioLevel
) -> torch.Tensor:
    """KL at the sampled steps by an estimator of KL_ESTIMATORS: [B, G, T], or [B, G, 1] at level 'sequence'.

    `log_probs` and `reference` [B, G, T] belong to the steps taken, `steps` marks the steps that count; 0 elsewhere.
    For samples of the policy a step estimates its own KL, a sequence the sum of the KL of its steps.
    """
    return KL_ESTIMATORS[estimator](log_ratios(log_probs, reference, steps, level))


def _k1(x: torch.Tensor) -> torch.Tensor:
    """k1: unbiased, of either sign. In the loss its gradient is 0 on average; it belongs in the reward."""
    return x


def _k2(x: torch.Tensor) -> torch.Tensor:
    """k2: biased, never negative. In the loss its gradient on average is that of KL(policy || reference)."""
    return x.square() / 2


def _k3(x: torch.Tensor) -> torch.Tensor:
    """k3: unbiased, never negative. In the loss its gradient on average is that of KL(reference || policy)."""
    return torch.expm1(-x) + x


def _k3_reversed(x: torch.Tensor) -> torch.Tensor:
    """k3 for samples of the reference: unbiased for KL(reference || policy), value and gradient.

    For samples of the policy it is chi^2(policy, reference) - KL(policy || reference), which explodes.
    """
    return torch.expm1(x) - x


KL_ESTIMATORS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "k1": _k1,
    "k2": _k2,
    "k3": _k3,
    "k3_reversed": _k3_reversed,
}
"""Estimators of KL from x = log(policy / reference) of a sample (Schulman 2020, joschu.net/blog/kl-approx.html).

Bias and gradients are stated for samples of the current policy, unless said otherwise.
"""


def next_beta(beta: float, kl: float, settings: KlSettings) -> float:
    """The coefficient beta after an update with divergence `kl`.

    A controller keeps beta within BETA_BOUNDS. A `kl` that is not finite belongs to a skipped update and leaves beta
    unchanged.
    """
    if settings.controller == "fixed" or not math.isfinite(kl):
        return beta
    low, high = BETA_BOUNDS
    return min(max(BETA_CONTROLLERS[settings.controller](beta, kl), low), high)


def _multiplicative(beta: float, kl: float) -> float:
    """Multiply beta by FACTOR above the higher level and divide it below the lower one.

    This happens after every update, so that beta soon reaches one of its bounds.
    """
    low, high = LEVEL_KL
    if kl > high:
        return beta * FACTOR
    return beta / FACTOR if kl < low else beta


BETA_CONTROLLERS: dict[str, Callable[[float, float], float]] = {"multiplicative": _multiplicative}
"""Controllers that map (beta, kl) to the next beta, before it is clamped to its bounds."""
