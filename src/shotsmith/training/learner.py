"""The optimizer: learning-rate schedule, gradient clipping, averaged weights, and updates without a finite loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import torch
from torch import nn
from torch.autograd.graph import increment_version

from shotsmith.errors import InputError, TrainingError
from shotsmith.recipe import OptimizerSettings
from shotsmith.training.seeding import repeatable

WEIGHT_DECAY = 0.01
"""AdamW's decoupled weight decay."""
MAX_GRAD_NORM = 1.0
"""Gradients are scaled down to this norm."""


MAX_SKIPPED_IN_A_ROW = 20
"""Training stops with an error after this many skipped updates in a row."""


class Learner:
    """AdamW over all parameters of a policy that are not frozen.

    Gradients are computed for the trained parameters only; `requires_grad` of frozen parameters stays as it is.
    """

    def __init__(
        self,
        policy: nn.Module,
        settings: OptimizerSettings,
        total_updates: int,
        frozen: Collection[str] = (),
        average: nn.Module | None = None,
    ) -> None:
        """Prepare training of `policy`; `total_updates` is the length of the learning-rate schedule.

        `frozen` names modules or parameters that are not trained; the policy need not have all of them. `average` is a
        copy of the policy that receives the moving average of its weights. Raises InputError if the policy has none of
        the frozen names, or if nothing is left to train.
        """
        self.settings = settings
        self.policy, self.average = policy, average
        self.total_updates = total_updates
        self.parameters = _trained(policy, frozen)
        self.optimizer = self._new_optimizer()
        self.steps = 0
        """Updates made so far."""
        self.skipped = 0
        """Updates skipped so far because loss or gradient was not finite."""
        self.skipped_in_a_row = 0
        """Updates skipped since the last one that was made."""

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update."""
        return self.settings.learning_rate * learning_rate_factor(self.steps, self.total_updates, self.settings)

    def update(self, loss: torch.Tensor) -> dict[str, float] | None:
        """Minimise `loss` by one step; returns {'grad_norm' (before clipping), 'learning_rate'}.

        Returns None and leaves the weights unchanged if loss or gradient is not finite. Raises TrainingError after
        MAX_SKIPPED_IN_A_ROW such updates.
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
            # Fused optimizers do not raise a parameter's version; cached keys of a bank depend on it.
            increment_version(parameter)
        self.steps += 1
        self.skipped_in_a_row = 0
        return {"grad_norm": norm, "learning_rate": rate}

    @torch.no_grad()
    def restart(self, weights: nn.Module) -> None:
        """Replace the weights by those of a policy of the same structure, and reset the optimizer."""
        for module in (self.policy, self.average):
            if module is not None:
                module.load_state_dict(weights.state_dict())
        self.optimizer = self._new_optimizer()

    def _new_optimizer(self) -> torch.optim.Optimizer:
        settings = self.settings
        return torch.optim.AdamW(self.parameters, lr=settings.learning_rate, weight_decay=WEIGHT_DECAY, fused=True)

    @torch.no_grad()
    def _move_average(self) -> None:
        """Move the averaged weights towards the present ones (Polyak averaging)."""
        if self.average is not None:
            averaged: list[torch.Tensor] = list(self.average.parameters())
            present: list[torch.Tensor] = list(self.policy.parameters())
            torch._foreach_lerp_(averaged, present, 1 - self.settings.average_decay)

    def _gradient(self, loss: torch.Tensor) -> float:
        """Set the gradients of the trained parameters, clipped to MAX_GRAD_NORM; returns the norm before clipping."""
        self.optimizer.zero_grad(set_to_none=True)
        with repeatable():
            loss.backward(inputs=self.parameters)
        return float(nn.utils.clip_grad_norm_(self.parameters, MAX_GRAD_NORM, foreach=True))

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


def learning_rate_factor(update: int, total: int, settings: OptimizerSettings) -> float:
    """The learning rate of update `update` (from 0) of `total`, as a share of the peak.

    The rate rises linearly over `warmup_steps` updates, the last of which has the peak. It then follows the schedule,
    so that update `total` - 1 and all later ones have `final_learning_rate_share`.
    """
    peak = max(settings.warmup_steps, 1) - 1
    if update < peak:
        return (update + 1) / settings.warmup_steps
    progress = min(1.0, (update - peak) / (total - 1 - peak)) if total - 1 > peak else 0.0
    final = settings.final_learning_rate_share
    return final + (1 - final) * SCHEDULES[settings.schedule](progress)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _progress: 1.0,
    "linear": lambda progress: 1 - progress,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
}
"""Schedules: progress from the peak (0) to the last update (1) -> the remaining share of the fall."""
