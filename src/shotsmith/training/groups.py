"""Groups of sequences with values, as tensors: rollouts with rewards, or beams with weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from shotsmith.errors import InputError
from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import STOP, BankInputs, Policy, rows_of
from shotsmith.records import Rollout
from shotsmith.records import Sequence as Positions

_LOCATED = 32
"""The number of groups whose shortlists are retrieved at a time."""


@dataclass(frozen=True, slots=True)
class Groups:
    """B groups of up to G sequences of up to T steps."""

    rows: torch.Tensor
    """[B] int64, the query of each group: a row of the inputs table."""
    sequences: torch.Tensor
    """[B, G, T] int64 positions in the query's pool, or in the shortlist of the step, in the order of choice; -1 pads
    shorter sequences (and absent ones), STOP ends one."""
    values: torch.Tensor
    """[B, G] float32, a reward or a weight; 0 where there is none."""
    valid: torch.Tensor
    """[B, G] bool; False for absent sequences and for rollouts whose completion failed."""
    behaviour: torch.Tensor
    """[B, G] float32, log-probability of the sequence under the policy that chose it; NaN where it is not known."""
    weights: torch.Tensor
    """[B, G] float32, how much a rollout counts in its group; 1 unless the group was sampled without replacement."""
    shortlists: torch.Tensor | None = None
    """[B, G, T, M] int32, rows of the bank that could be chosen at each step; None where queries have pools."""

    def __len__(self) -> int:
        """The number of groups, B."""
        return len(self.rows)

    def __getitem__(self, chosen: torch.Tensor | slice) -> Groups:
        """The groups chosen by index, mask or slice."""
        return self._map(lambda tensor: tensor[chosen])

    def to(self, device: torch.device) -> Groups:
        """The groups on another device."""
        return self._map(lambda tensor: tensor.to(device))

    def where(self, kept: torch.Tensor) -> Groups:
        """The groups with only the rollouts in `kept` [B, G] valid."""
        return dataclasses.replace(self, valid=self.valid & kept)

    def with_values(self, values: torch.Tensor) -> Groups:
        """The groups with other values [B, G]."""
        return dataclasses.replace(self, values=values)

    def padded(self, size: int, steps: int) -> Groups:
        """The groups padded to `size` sequences of `steps` steps."""
        more, longer = size - self.sequences.shape[1], steps - self.sequences.shape[2]
        return Groups(
            self.rows,
            functional.pad(self.sequences, (0, longer, 0, more), value=-1),
            functional.pad(self.values, (0, more)),
            functional.pad(self.valid, (0, more)),
            functional.pad(self.behaviour, (0, more), value=torch.nan),
            functional.pad(self.weights, (0, more), value=1.0),
            None if self.shortlists is None else functional.pad(self.shortlists, (0, 0, 0, longer, 0, more), value=-1),
        )

    def shown(self, outwards: bool) -> list[list[Positions]]:
        """The sequences of each group in prompt order: positions in the pool, or rows of the bank.

        `outwards`: the first choice is placed next to the query, at the end of the prompt. Absent sequences are empty.
        """
        step = -1 if outwards else 1
        return [
            [tuple(row for row in sequence if row >= 0)[::step] for sequence in group]
            for group in rows_of(self.sequences, self.shortlists).tolist()
        ]

    def _map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Groups:
        changes: dict[str, Any] = {
            field.name: None if (value := getattr(self, field.name)) is None else change(value)
            for field in dataclasses.fields(self)
        }
        return Groups(**changes)


def concatenate(parts: Iterable[Groups]) -> Groups:
    """The groups of all parts (at least one), padded to the largest group and the longest sequence."""
    parts = list(parts)
    size = max(part.sequences.shape[1] for part in parts)
    steps = max(part.sequences.shape[2] for part in parts)
    parts = [part.padded(size, steps) for part in parts]
    columns = {field.name: [getattr(part, field.name) for part in parts] for field in dataclasses.fields(Groups)}
    joined: dict[str, Any] = {name: None if some[0] is None else torch.cat(some) for name, some in columns.items()}
    return Groups(**joined)


def from_rollouts(rollouts: Iterable[Rollout], *, stop_below: int = 0, outwards: bool = False) -> Groups:
    """One group per query, in ascending order; a rollout without a reward is kept but not valid.

    A query without any rewarded rollout is left out. For a policy that can stop, `stop_below` is the greatest number of
    demonstrations: shorter sequences end with STOP. `outwards`: the policy first chooses the demonstration next to the
    query. Sequences over a bank hold rows of the bank; `located` replaces them by positions in shortlists.
    """
    by_query: dict[int, list[Rollout]] = {}
    for rollout in rollouts:
        by_query.setdefault(rollout.query, []).append(rollout)
    answered = {query: group for query, group in by_query.items() if any(r.reward is not None for r in group)}
    return _grouped(answered, stop_below, outwards)


def from_beams(beams: Mapping[int, Iterable[Positions]], *, stop_below: int = 0, outwards: bool = False) -> Groups:
    """One group per query of the sequences found by beam search, all of the same weight (1 / their number)."""
    listed = {query: list(sequences) for query, sequences in beams.items()}
    weighted = {
        query: [Rollout(query, sequence, 1 / len(found)) for sequence in found]
        for query, found in listed.items()
        if found
    }
    return _grouped(weighted, stop_below, outwards)


def located(groups: Groups, policy: Policy, inputs: InputsTable) -> Groups:
    """Groups over a bank with shortlists of `policy` that contain the chosen rows, and positions in place of the rows.

    Groups of queries with pools are returned unchanged.
    """
    if inputs.pools is not None or not len(groups):
        return groups
    parts = []
    for start in range(0, len(groups), _LOCATED):
        part = groups[start : start + _LOCATED]
        batch = inputs.batch(part.rows.numpy())
        assert isinstance(batch, BankInputs)
        found = policy.locate(batch, part.sequences.to(inputs.device))
        assert found.shortlists is not None
        shortlists = found.shortlists.cpu().int()
        parts.append(dataclasses.replace(part, sequences=found.sequences.cpu(), shortlists=shortlists))
    return concatenate(parts)


def _grouped(groups: Mapping[int, Sequence[Rollout]], stop_below: int, outwards: bool) -> Groups:
    queries = sorted(groups)
    ended = {query: [_ended(rollout, stop_below, outwards) for rollout in groups[query]] for query in queries}
    size = max((len(group) for group in ended.values()), default=1)
    steps = max((len(sequence) for group in ended.values() for sequence in group), default=1)
    absent = (-1,) * steps
    sequences, values, behaviour = [], [], []
    for query in queries:
        group, missing = groups[query], size - len(groups[query])
        sequences.append([(*found, *absent[len(found) :]) for found in ended[query]] + [absent] * missing)
        values.append([_reward(rollout) for rollout in group] + [math.nan] * missing)
        behaviour.append([_or_nan(rollout.log_prob) for rollout in group] + [math.nan] * missing)
    shape = (len(queries), size)
    rewards = torch.tensor(values, dtype=torch.float32).view(shape)
    return Groups(
        rows=torch.tensor(queries, dtype=torch.int64),
        sequences=torch.tensor(sequences, dtype=torch.int64).view(*shape, steps),
        values=rewards.nan_to_num(nan=0.0),
        valid=~rewards.isnan(),
        behaviour=torch.tensor(behaviour, dtype=torch.float32).view(shape),
        weights=torch.ones(shape),
    )


def _reward(rollout: Rollout) -> float:
    """The reward of a rollout; NaN if it has none."""
    if rollout.reward is None:
        return math.nan
    return finite_reward(rollout.query, rollout.sequence, rollout.reward)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def finite_reward(query: int, sequence: Positions, reward: float) -> float:
    """`reward` itself. Raises InputError if it is not finite, which would spoil the figures of the whole group."""
    if not math.isfinite(reward):
        raise InputError(f"query {query}: the reward of the sequence {sequence} is {reward}")
    return reward


def _ended(rollout: Rollout, stop_below: int, outwards: bool) -> Positions:
    sequence = rollout.sequence[:: -1 if outwards else 1]
    if len(sequence) < stop_below:
        return (*sequence, STOP)
    if not sequence:
        raise InputError(f"query {rollout.query}: a sequence to train on holds at least one demonstration")
    return sequence
