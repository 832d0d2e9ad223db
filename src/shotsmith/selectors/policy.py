"""A trained policy as a selector: the most probable candidate at each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import BankInputs, Inputs, Policy
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
        step = -1 if self.policy.outwards else 1
        chosen: list[list[int]] = []
        for batch in self._batches(tasks):
            chosen += self.policy.greedy(batch, shots).tolist()
        return [tuple(position for position in sequence if position >= 0)[::step] for sequence in chosen]

    def shortlists(self, tasks: Tasks, size: int) -> list[list[int]]:
        """For each query the `size` entries of the bank that the policy gives the highest scores at its first step.

        No more than its own shortlist holds. Of pools it can choose anything.
        """
        if tasks.pools is not None:
            return [list(range(tasks.pools.shape[1]))] * len(tasks.queries)
        found: list[list[int]] = []
        for batch in self._batches(tasks):
            assert isinstance(batch, BankInputs)
            chosen = self.policy.sample(batch, 1, 1, torch.Generator(_device(self.policy)).manual_seed(0))
            assert chosen.shortlists is not None
            with torch.no_grad():
                scores = self.policy.step_distributions(replace(batch, shortlists=chosen.shortlists), chosen.sequences)
            rows = chosen.shortlists[:, 0, 0]
            best = scores[:, 0, 0, : rows.shape[-1]].topk(min(size, rows.shape[-1]), dim=-1).indices
            found += [[row for row in some if row >= 0] for some in rows.gather(-1, best).tolist()]
        return found

    def _batches(self, tasks: Tasks) -> Iterator[Inputs | BankInputs]:
        embedded = tasks.query_embeddings.table, tasks.index_embeddings.table
        table = InputsTable(*embedded, tasks.pools, _device(self.policy), tasks.barred)
        for start in range(0, len(table), self.batch_size):
            yield table.batch(range(start, min(start + self.batch_size, len(table))))


def _device(policy: Policy) -> torch.device:
    """Where the policy's weights are; the CPU for one without any."""
    weights = policy.parameters() if isinstance(policy, torch.nn.Module) else iter(())
    return next((weight.device for weight in weights), torch.device("cpu"))
