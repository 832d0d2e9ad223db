"""The optimizer and the rules around one update: learning rate, gradient clipping, steps without a finite loss."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import nn
from torch.autograd.graph import increment_version

from shotsmith.errors import InputError, TrainingError
from shotsmith.recipe import OptimizerSettings
from shotsmith.training.schedule import learning_rate_factor
from shotsmith.training.seeding import repeatable

MAX_SKIPPED_IN_A_ROW = 20


class Learner:
    """AdamW over the policy's parameters, but for frozen ones.

    Gradients are asked for the trained parameters alone, so that frozen ones need no marking and have none.
    """

    def __init__(
        self,
        policy: nn.Module,
        settings: OptimizerSettings,
        total_updates: int,
        frozen: Collection[str] = (),
        average: nn.Module | None = None,
    ) -> None:
        """`total_updates` is the length of the schedule; `frozen` names modules or parameters that stay as they are.

        `average` is a copy of the policy whose weights become the moving average of the policy's.

        A policy need not have all of them. Raises InputError where it has none, or where nothing is left to train.
        """
        self.settings = settings
        self.policy, self.average = policy, average
        self.total_updates = total_updates
        self.parameters = _trained(policy, frozen)
        self.optimizer = self._new_optimizer()
        self.steps = 0
        """Updates made so far."""
        self.skipped = 0
        """Updates left out so far because loss or gradient was not finite."""
        self.skipped_in_a_row = 0

    @property
    def learning_rate(self) -> float:
        """The rate of the next update."""
        return self.settings.learning_rate * learning_rate_factor(self.steps, self.total_updates, self.settings)

    def update(self, loss: torch.Tensor) -> dict[str, float] | None:
        """One step down `loss`: {'grad_norm' (before clipping), 'learning_rate'}.

        None where loss or gradient is not finite: the weights stay. Raises TrainingError after 20 such in a row.
        """
        norm = self._gradient(loss) if math.isfinite(loss.item()) else math.nan
        if not math.isfinite(norm):
            self._skip()
            return None
        rate = self.learning_rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self._move_average()
        for parameter in self.parameters:
            # Fused optimizers do not say that they changed a weight; the keys of a bank are kept until one changes.
            increment_version(parameter)
        self.steps += 1
        self.skipped_in_a_row = 0
        return {"grad_norm": norm, "learning_rate": rate}

    @torch.no_grad()
    def restart(self, weights: nn.Module) -> None:
        """Go on from the weights of another such policy, as if nothing had been learned of the gradients so far."""
        for module in (self.policy, self.average):
            if module is not None:
                module.load_state_dict(weights.state_dict())
        self.optimizer = self._new_optimizer()

    def _new_optimizer(self) -> torch.optim.Optimizer:
        settings = self.settings
        return torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )

    @torch.no_grad()
    def _move_average(self) -> None:
        """Move the averaged weights towards the present ones (Polyak averaging)."""
        if self.average is not None:
            averaged: list[torch.Tensor] = list(self.average.parameters())
            present: list[torch.Tensor] = list(self.policy.parameters())
            torch._foreach_lerp_(averaged, present, 1 - self.settings.average_decay)

    def _gradient(self, loss: torch.Tensor) -> float:
        """Give every trained parameter its gradient, scaled down to `max_grad_norm`; the norm it had before."""
        self.optimizer.zero_grad(set_to_none=True)
        with repeatable():
            loss.backward(inputs=self.parameters)
        return float(nn.utils.clip_grad_norm_(self.parameters, self.settings.max_grad_norm, foreach=True))

    def _skip(self) -> None:
        self.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise TrainingError(
                f"{self.skipped_in_a_row} updates in a row had no finite loss; lower the learning rate "
                "or look for extreme rewards or embeddings"
            )


def _trained(policy: nn.Module, frozen: Collection[str]) -> list[nn.Parameter]:
    kept = {name for name, _ in policy.named_parameters() if any(_within(name, place) for place in frozen)}
    if frozen and not kept:
        raise InputError(f"the policy has nothing to freeze by the names of {', '.join(frozen)}")
    trained = [parameter for name, parameter in policy.named_parameters() if name not in kept]
    if not trained:
        raise InputError("everything in the policy is frozen; there is nothing to train")
    return trained


def _within(parameter: str, place: str) -> bool:
    return parameter == place or parameter.startswith(f"{place}.")
