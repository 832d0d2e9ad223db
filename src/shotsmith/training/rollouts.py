"""Groups of rollouts for GRPO: sampled from the policy or recorded, until enough of them carry signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import Policy
from shotsmith.recipe import GrpoSettings
from shotsmith.records import Sequence
from shotsmith.training.advantages import group_advantages
from shotsmith.training.groups import Groups, concatenate
from shotsmith.training.order import QueryOrder

Scorer = Callable[[list[tuple[int, Sequence]], str], list[float | None]]
"""(pairs of training query and sequence, origin) -> a reward for each pair, None where the completion failed."""

Source = Callable[[list[int], int], Groups]
"""(items of the query order, position of the first in it) -> one group per item."""


@dataclass(frozen=True, slots=True)
class Collected:
    """The groups of one step."""

    entering: Groups
    """Those that enter the update: all carry signal. May be empty."""
    sampled: Groups
    """All that were sampled, those without signal included."""


def on_policy(
    policy: Policy,
    inputs: InputsTable,
    scorer: Scorer,
    settings: GrpoSettings,
    generator: torch.Generator,
    origin: str,
) -> Source:
    """Groups sampled from the policy as it is when they are asked for; lengths are taken in turn."""
    longest = max(settings.shots)

    def sample(queries: list[int], position: int) -> Groups:
        # The first steps of a longer sequence are distributed like a shorter one: sample the longest, cut.
        sequences, _ = policy.sample(inputs.batch(queries), longest, settings.num_generations, generator)
        turns = [settings.shots[(position + i) % len(settings.shots)] for i in range(len(queries))]
        beyond = torch.arange(longest) >= torch.tensor(turns)[:, None]
        sequences = sequences.cpu().masked_fill(beyond[:, None], -1)
        return scored(queries, sequences, scorer, origin)

    return sample


def recorded(groups: Groups) -> Source:
    """Recorded groups, whole; an item of the query order is the number of a group."""
    return lambda items, _position: groups[torch.tensor(items)]


def scored(queries: list[int], sequences: torch.Tensor, scorer: Scorer, origin: str) -> Groups:
    """Groups with the rewards of their sequences [B, G, T]; equal sequences of a query are asked for once."""
    pairs = [
        (query, tuple(position for position in sequence if position >= 0))
        for query, group in zip(queries, sequences.tolist(), strict=True)
        for sequence in group
    ]
    asked = list(dict.fromkeys(pairs))
    rewards = dict(zip(asked, scorer(asked, origin), strict=True))
    listed = [rewards[pair] for pair in pairs]
    shape = sequences.shape[:2]
    return Groups(
        rows=torch.tensor(queries),
        sequences=sequences,
        values=torch.tensor([0.0 if reward is None else reward for reward in listed]).view(shape),
        valid=torch.tensor([reward is not None for reward in listed]).view(shape),
    )


def collect(source: Source, order: QueryOrder, settings: GrpoSettings) -> Collected:
    """`queries_per_step` groups with signal; those without are replaced by groups of the next queries.

    After `max_resamples` further draws the step makes do with what it has.
    """
    sampled: list[Groups] = []
    entering: list[Groups] = []
    missing = settings.queries_per_step
    for _ in range(1 + settings.max_resamples):
        position = order.cursor
        drawn = source(order.take(missing), position)
        signal = group_advantages(drawn.values, drawn.valid, settings.min_std).signal
        sampled.append(drawn)
        entering.append(drawn[signal])
        missing -= int(signal.sum())
        if not missing:
            break
    return Collected(concatenate(entering), concatenate(sampled))
