"""Validation of every epoch: the reward of greedy sequences, a loss on recorded rollouts, and early stopping.

Everything here is computed on validation queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch

from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import BankInputs, Policy
from shotsmith.policies.shortlists import measure_shortlists
from shotsmith.training.groups import Groups
from shotsmith.training.losses import reward_weighted_cross_entropy

_BATCH = 128
_MEASURED, _STEPS = 32, 4
"""The number of validation queries, and of greedy steps of each, on which shortlists are measured."""


@dataclass(frozen=True, slots=True)
class Validation:
    """The validation of a policy after every epoch; each part may be left out."""

    inputs: InputsTable | None = None
    """The validation queries."""
    rollouts: Groups | None = None
    """Recorded rollouts of the validation queries."""
    answered: Callable[[Policy], dict[str, float]] | None = None
    """Computes the figures of a policy that need the VLM, such as {'val/reward': ...}."""

    def metrics(self, policy: Policy) -> dict[str, float]:
        """The metrics 'val/loss' (also as 'val_loss') and those of `answered` ('val/reward' also as 'val_reward').

        Over a bank also the probability and the entries that shortlists leave out (policies.shortlists).
        """
        policy.eval()
        metrics: dict[str, float] = {}
        if self.inputs is not None:
            self.inputs.refresh()
        if self.inputs is not None and self.rollouts is not None and len(self.rollouts):
            metrics["val/loss"] = validation_loss(policy, self.inputs, self.rollouts)
        if self.inputs is not None:
            some = self.inputs.batch(range(min(_MEASURED, len(self.inputs))))
            if isinstance(some, BankInputs):
                metrics |= measure_shortlists(policy, some, _STEPS)
        if self.answered is not None:
            metrics |= self.answered(policy)
        return metrics | {
            name.replace("/", "_"): metrics[name] for name in ("val/loss", "val/reward") if name in metrics
        }


@torch.no_grad()
def validation_loss(policy: Policy, inputs: InputsTable, rollouts: Groups) -> float:
    """The RCE loss at tau = 1 with raw rewards, in eval mode, mean over queries.

    This is a cross-entropy, not an expected reward, and need not rank epochs as accuracy does.
    """
    policy.eval()
    total = 0.0
    for start in range(0, len(rollouts), _BATCH):
        batch = rollouts[start : start + _BATCH]
        distributions = policy.step_distributions(
            inputs.batch(batch.rows.numpy(), batch.shortlists), batch.sequences.to(inputs.device)
        )
        loss = reward_weighted_cross_entropy(distributions.cpu(), batch.sequences, batch.values, batch.valid, tau=1.0)
        total += float(loss) * len(batch)
    return total / len(rollouts)


def should_stop(rows: Iterable[Mapping[str, object]], patience: int) -> bool:
    """Whether the last `patience` validated epochs all failed to exceed the best 'val_reward' before them.

    `rows` are the rows of one phase in order. Epochs without a 'val_reward' do not count; patience 0 never stops.
    """
    rewards = [reward for row in rows if isinstance(reward := row.get("val_reward"), int | float)]
    return bool(patience and rewards) and len(rewards) - 1 - rewards.index(max(rewards)) >= patience
