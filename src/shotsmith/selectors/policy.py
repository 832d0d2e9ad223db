"""A trained policy as a selector: the most probable candidate at each step."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import Policy
from shotsmith.records import Sequence
from shotsmith.selectors.protocol import Tasks


@dataclass(frozen=True, slots=True)
class PolicySelector:
    """Greedy decoding of `policy`, `batch_size` queries at a time. The policy sees embeddings only."""

    name: str
    policy: Policy
    batch_size: int = 256

    def select(self, tasks: Tasks, shots: int) -> list[Sequence]:
        """One sequence per query. Raises InputError where there are fewer than `shots` candidates."""
        device = _device(self.policy)
        embedded = tasks.query_embeddings.table, tasks.index_embeddings.table
        table = InputsTable(*embedded, tasks.pools, device, tasks.barred)
        step = -1 if self.policy.outwards else 1
        chosen: list[list[int]] = []
        for start in range(0, len(table), self.batch_size):
            rows = range(start, min(start + self.batch_size, len(table)))
            chosen += self.policy.greedy(table.batch(rows), shots).tolist()
        return [tuple(position for position in sequence if position >= 0)[::step] for sequence in chosen]


def _device(policy: Policy) -> torch.device:
    """Where the policy's weights are; the CPU for one without any."""
    weights = policy.parameters() if isinstance(policy, torch.nn.Module) else iter(())
    return next((weight.device for weight in weights), torch.device("cpu"))
