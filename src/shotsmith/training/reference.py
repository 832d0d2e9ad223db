"""The reference policy, the KL divergence from it, and the coefficient beta that weighs the divergence."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping

import torch

from shotsmith.policies.protocol import Policy, pick
from shotsmith.recipe import GrpoSettings, KlSettings
from shotsmith.training.losses import RatioLevel, log_ratios

MAX_ERROR = 0.2
"""The proportional controller clamps the relative error to [-MAX_ERROR, MAX_ERROR]."""


class Reference:
    """A frozen reference policy, and the coefficient beta of the divergence from it."""

    def __init__(self, policy: Policy, settings: GrpoSettings) -> None:
        """Copy `policy`: training it later does not change the reference."""
        self.policy = copy.deepcopy(policy).eval().requires_grad_(False)
        self.settings = settings
        self.beta = settings.beta
        self.updates = 0
        """Updates of the policy so far."""

    def after_update(self, policy: Policy, kl: float, sequences: int) -> None:
        """Adapt beta to the `kl` of an update on `sequences` sequences, and move towards the policy when it is due.

        The reference moves every `reference.sync_steps` updates; 0 never moves it.
        """
        self.beta = next_beta(self.beta, kl, sequences, self.settings.kl)
        self.updates += 1
        every = self.settings.reference.sync_steps
        if every and self.updates % every == 0:
            self._move_towards(policy, self.settings.reference.mixup_alpha)

    @torch.no_grad()
    def _move_towards(self, policy: Policy, share: float) -> None:
        """Set weights = share * policy + (1 - share) * weights, as TRL's sync_ref_model does (arXiv 2404.09656)."""
        for own, other in zip(self.policy.parameters(), policy.parameters(), strict=True):
            own.lerp_(other, share)

    def state(self) -> tuple[Mapping[str, torch.Tensor], Mapping[str, float]]:
        """The state that resuming needs; it holds weights only if the reference can move."""
        moved = self.policy.state_dict() if self.settings.reference.sync_steps else {}
        return moved, {"beta": self.beta, "updates": self.updates}

    def restore(self, tensors: Mapping[str, torch.Tensor], numbers: Mapping[str, float]) -> None:
        """Restore what `state` returned."""
        if tensors:
            self.policy.load_state_dict(tensors)
        self.beta, self.updates = numbers["beta"], int(numbers["updates"])


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


def next_beta(beta: float, kl: float, sequences: int, settings: KlSettings) -> float:
    """The coefficient beta after an update with divergence `kl` on `sequences` sequences.

    A controller keeps beta within [min_beta, max_beta]. A `kl` that is not finite belongs to a skipped update and
    leaves beta unchanged.
    """
    if settings.controller == "fixed" or not math.isfinite(kl):
        return beta
    moved = BETA_CONTROLLERS[settings.controller](beta, kl, sequences, settings)
    return min(max(moved, settings.min_beta), settings.max_beta)


def _proportional(beta: float, kl: float, sequences: int, settings: KlSettings) -> float:
    """Change beta in proportion to the relative error (Ziegler et al., arXiv 1909.08593, section 2.2; as in verl)."""
    error = min(max(kl / settings.target - 1, -MAX_ERROR), MAX_ERROR)
    return beta * (1 + error * sequences / settings.horizon)


def _multiplicative(beta: float, kl: float, _sequences: int, settings: KlSettings) -> float:
    """Multiply beta by `factor` above `high` and divide it below `low`.

    This happens after every update, so that beta soon reaches one of its bounds.
    """
    if kl > settings.high:
        return beta * settings.factor
    return beta / settings.factor if kl < settings.low else beta


BETA_CONTROLLERS: dict[str, Callable[[float, float, int, KlSettings], float]] = {
    "proportional": _proportional,
    "multiplicative": _multiplicative,
}
"""Controllers that map (beta, kl, sequences, settings) to the next beta, before it is clamped to its bounds."""
