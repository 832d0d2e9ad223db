"""The optimizer and the rules around one update: warm-up, gradient clipping, steps without a finite loss."""

from __future__ import annotations

import math

import torch
from torch import nn

from shotsmith.errors import TrainingError
from shotsmith.recipe import OptimizerSettings

MAX_SKIPPED_IN_A_ROW = 20


class Learner:
    """AdamW over the policy's parameters."""

    def __init__(self, policy: nn.Module, settings: OptimizerSettings) -> None:
        self.settings = settings
        self.parameters = list(policy.parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.steps = 0
        """Updates made so far."""
        self.skipped = 0
        """Updates left out so far because loss or gradient was not finite."""
        self.skipped_in_a_row = 0

    @property
    def learning_rate(self) -> float:
        """The rate of the next update: it rises linearly over the warm-up, then stays."""
        rise = min(1.0, (self.steps + 1) / max(1, self.settings.warmup_steps))
        return self.settings.learning_rate * rise

    def update(self, loss: torch.Tensor) -> dict[str, float] | None:
        """One step down `loss`: {'grad_norm' (before clipping), 'learning_rate'}.

        None where loss or gradient is not finite: the weights stay. Raises TrainingError after 20 such in a row.
        """
        self.optimizer.zero_grad(set_to_none=True)
        norm = math.nan
        if loss.isfinite():
            loss.backward()
            norm = float(nn.utils.clip_grad_norm_(self.parameters, self.settings.max_grad_norm))
        if not math.isfinite(norm):
            self._skip()
            return None
        rate = self.learning_rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.steps += 1
        self.skipped_in_a_row = 0
        return {"grad_norm": norm, "learning_rate": rate}

    def _skip(self) -> None:
        self.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise TrainingError(
                f"{self.skipped_in_a_row} updates in a row had no finite loss; lower the learning rate "
                "or look for extreme rewards or embeddings"
            )
