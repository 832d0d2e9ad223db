"""Groups of sequences with a value each: rollouts with their rewards, beams with their weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from shotsmith.errors import InputError
from shotsmith.records import Rollout, Sequence


@dataclass(frozen=True, slots=True)
class Groups:
    """B groups of up to G sequences of up to T steps."""

    rows: torch.Tensor
    """[B] int64, the query of each group: a row of the inputs table."""
    sequences: torch.Tensor
    """[B, G, T] int64 positions in the query's pool; -1 pads shorter sequences (and absent ones)."""
    values: torch.Tensor
    """[B, G] float32, a reward or a weight; 0 where there is none."""
    valid: torch.Tensor
    """[B, G] bool; False for absent sequences and for rollouts whose completion failed."""

    def __len__(self) -> int:
        """B."""
        return len(self.rows)

    def __getitem__(self, chosen: torch.Tensor | slice) -> Groups:
        """Some of the groups, by index, mask or slice."""
        return Groups(self.rows[chosen], self.sequences[chosen], self.values[chosen], self.valid[chosen])


def concatenate(parts: Iterable[Groups]) -> Groups:
    """The groups of all parts (at least one; all of the same G and T)."""
    parts = list(parts)
    return Groups(
        torch.cat([part.rows for part in parts]),
        torch.cat([part.sequences for part in parts]),
        torch.cat([part.values for part in parts]),
        torch.cat([part.valid for part in parts]),
    )


def from_rollouts(rollouts: Iterable[Rollout]) -> Groups:
    """One group per query, in ascending order; a rollout without a reward is kept but not valid.

    A query none of whose rollouts has a reward has nothing to teach and is left out.
    """
    by_query: dict[int, list[tuple[Sequence, float | None]]] = {}
    for rollout in rollouts:
        by_query.setdefault(rollout.query, []).append((rollout.sequence, rollout.reward))
    return _padded({query: group for query, group in by_query.items() if any(v is not None for _, v in group)})


def from_beams(beams: Mapping[int, Iterable[Sequence]]) -> Groups:
    """The sequences beam search found for each query, all of the same weight (1 / their number)."""
    listed = {query: list(sequences) for query, sequences in beams.items()}
    return _padded({query: [(s, 1 / len(found)) for s in found] for query, found in listed.items() if found})


def _padded(groups: Mapping[int, list[tuple[Sequence, float | None]]]) -> Groups:
    queries = sorted(groups)
    size = max((len(group) for group in groups.values()), default=1)
    steps = max((len(sequence) for group in groups.values() for sequence, _ in group), default=1)
    sequences = torch.full((len(queries), size, steps), -1, dtype=torch.int64)
    values = torch.zeros(len(queries), size)
    valid = torch.zeros(len(queries), size, dtype=torch.bool)
    for b, query in enumerate(queries):
        for g, (sequence, value) in enumerate(groups[query]):
            if not sequence:
                raise InputError(f"query {query}: a sequence to train on holds at least one demonstration")
            sequences[b, g, : len(sequence)] = torch.tensor(sequence)
            if value is not None:
                values[b, g], valid[b, g] = value, True
    return Groups(torch.tensor(queries, dtype=torch.int64), sequences, values, valid)
