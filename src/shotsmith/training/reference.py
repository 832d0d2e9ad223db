"""The reference policy: what KL is measured from. It may follow the policy from time to time."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch

from shotsmith.policies.protocol import Policy
from shotsmith.recipe import GrpoSettings
from shotsmith.training.beta import next_beta


class Reference:
    """A frozen policy, and the coefficient that weighs the divergence from it."""

    def __init__(self, policy: Policy, settings: GrpoSettings) -> None:
        """`policy` is copied: it may be trained on."""
        self.policy = copy.deepcopy(policy).eval().requires_grad_(False)
        self.settings = settings
        self.beta = settings.beta
        self.updates = 0
        """Updates of the policy that were told so far."""

    def after_update(self, policy: Policy, kl: float, sequences: int) -> None:
        """Adapt beta to the KL of an update on so many sequences; move towards the policy where it is time to."""
        self.beta = next_beta(self.beta, kl, sequences, self.settings.kl)
        self.updates += 1
        every = self.settings.reference.sync_steps
        if every and self.updates % every == 0:
            self._move_towards(policy, self.settings.reference.mixup_alpha)

    @torch.no_grad()
    def _move_towards(self, policy: Policy, share: float) -> None:
        """weights = share * policy + (1 - share) * weights, as TRL's sync_ref_model does (arXiv 2404.09656)."""
        for own, other in zip(self.policy.parameters(), policy.parameters(), strict=True):
            own.lerp_(other, share)

    def state(self) -> tuple[Mapping[str, torch.Tensor], Mapping[str, float]]:
        """What resuming needs: the weights only where they can have moved."""
        moved = self.policy.state_dict() if self.settings.reference.sync_steps else {}
        return moved, {"beta": self.beta, "updates": self.updates}

    def restore(self, tensors: Mapping[str, torch.Tensor], numbers: Mapping[str, float]) -> None:
        """Put back what `state` gave."""
        if tensors:
            self.policy.load_state_dict(tensors)
        self.beta, self.updates = numbers["beta"], int(numbers["updates"])
