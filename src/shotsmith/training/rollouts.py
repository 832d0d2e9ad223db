"""Groups of rollouts for GRPO: sampled from the policy or recorded, until enough of them carry signal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch

from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import Policy
from shotsmith.recipe import AdvantageSettings, GrpoSettings
from shotsmith.records import Sequence
from shotsmith.training.advantages import advantages
from shotsmith.training.groups import Groups, concatenate, finite_reward

Rewarder = Callable[[list[tuple[int, Sequence]], str], list[float | None]]
"""Rewards sequences: (pairs of training query and sequence, origin) -> a reward per pair, None for failed completions.

The origin says for which part of the run the completions are requested.
"""

GroupSource = Callable[[list[int], int], Groups]
"""Draws groups: (queries, position of the first one in the order of queries) -> one group per query."""

TakeQueries = Callable[[int], tuple[list[int], int]]
"""Takes a number of queries: number -> (the next queries, position of the first one in the order of queries)."""


@dataclass(frozen=True, slots=True)
class StepGroups:
    """The groups of one step."""

    entering: Groups
    """The groups that enter the update; may be empty."""
    sampled: Groups
    """All groups that were sampled, including those left out."""


def on_policy(
    policy: Policy,
    inputs: InputsTable,
    rewarder: Rewarder,
    settings: GrpoSettings,
    generator: torch.Generator,
    origin: str,
) -> GroupSource:
    """A source of groups sampled from the current weights of `policy`; the lengths in `settings.shots` take turns.

    If the policy can stop, every group has the greatest length as limit, and the policy chooses the lengths.
    """
    lengths = (max(settings.shots),) if policy.can_stop else settings.shots

    def sample(queries: list[int], position: int) -> Groups:
        turns = [lengths[(position + i) % len(lengths)] for i in range(len(queries))]
        parts = []
        for shots in sorted(set(turns)):
            chosen = [query for query, turn in zip(queries, turns, strict=True) if turn == shots]
            parts.append(_sampled(policy, inputs, chosen, shots, settings, generator))
        groups = concatenate(parts)
        if not settings.sampling.probe:
            return rewarded(groups, rewarder, origin, outwards=policy.outwards)
        return _probed(groups, settings.sampling.probe, settings.advantage, rewarder, origin, policy.outwards)

    return sample


def _probed(
    groups: Groups, probe: int, settings: AdvantageSettings, rewarder: Rewarder, origin: str, outwards: bool
) -> Groups:
    """The groups with rewards; where the first `probe` ones of a group carry no signal, its others are not asked for.

    The sequences that were not asked for are absent from their group.
    """
    first = torch.arange(groups.sequences.shape[1]) < probe
    tried = rewarded(_only(groups, first.expand_as(groups.valid)), rewarder, origin, outwards=outwards)
    goes_on = advantages(tried.values, tried.valid, settings, tried.weights).signal
    rest = rewarded(_only(groups, ~first & goes_on[:, None]), rewarder, origin, outwards=outwards)
    asked = first | goes_on[:, None]
    return dataclasses.replace(
        _only(groups, asked), values=torch.where(first, tried.values, rest.values), valid=tried.valid | rest.valid
    )


def _only(groups: Groups, kept: torch.Tensor) -> Groups:
    """The groups with only the sequences in `kept` [B, G]; the others are absent."""
    return dataclasses.replace(
        groups,
        sequences=groups.sequences.masked_fill(~kept[..., None], -1),
        behaviour=groups.behaviour.masked_fill(~kept, torch.nan),
    )


def recorded(groups: Groups) -> GroupSource:
    """A source of whole recorded groups. Every requested query must have one."""
    where = {int(row): number for number, row in enumerate(groups.rows.tolist())}
    return lambda queries, _position: groups[torch.tensor([where[query] for query in queries])]


def rewarded(groups: Groups, rewarder: Rewarder, origin: str, *, outwards: bool = False) -> Groups:
    """The groups with the rewards of their sequences; equal sequences of a query are rewarded once.

    `outwards`: the first choice of a sequence is placed next to the query. Raises InputError if a reward is not finite.
    """
    present = (groups.sequences != -1).any(-1)
    pairs = [
        (query, sequence)
        for query, group in zip(groups.rows.tolist(), groups.shown(outwards), strict=True)
        for sequence in group
    ]
    asked = list(dict.fromkeys(pair for pair, there in zip(pairs, present.flatten().tolist(), strict=True) if there))
    found = dict(zip(asked, rewarder(asked, origin), strict=True))
    listed = [found.get(pair) for pair in pairs]
    rewards = [
        0.0 if reward is None else finite_reward(*pair, reward) for pair, reward in zip(pairs, listed, strict=True)
    ]
    values = torch.tensor(rewards).view(present.shape)
    valid = torch.tensor([reward is not None for reward in listed]).view(present.shape) & present
    return dataclasses.replace(groups, values=values, valid=valid)


def collect(
    source: GroupSource,
    take: TakeQueries,
    wanted: int,
    settings: AdvantageSettings,
    observe: Callable[[Groups, torch.Tensor], None] = lambda _groups, _signal: None,
) -> StepGroups:
    """Collect `wanted` groups; groups without signal are kept, left out, or replaced by groups of the next queries.

    After `max_resamples` further draws the step may have fewer groups. Whether a group carries signal is decided on
    the rewards of the whole group; `observe` is told of all groups and which carry some, [B] bool.
    """
    sampled: list[Groups] = []
    entering: list[Groups] = []
    draws = 1 + (settings.max_resamples if settings.zero_variance == "resample" else 0)
    missing = wanted
    for _ in range(draws):
        drawn = source(*take(missing))
        signal = advantages(drawn.values, drawn.valid, settings, drawn.weights).signal
        observe(drawn, signal)
        answered = drawn.valid.any(1)
        enters = answered if settings.zero_variance == "keep" else signal
        sampled.append(drawn)
        entering.append(drawn[enters])
        missing -= int(enters.sum())
        if not missing:
            break
    return StepGroups(concatenate(entering), concatenate(sampled))


def _sampled(
    policy: Policy,
    inputs: InputsTable,
    queries: list[int],
    shots: int,
    settings: GrpoSettings,
    generator: torch.Generator,
) -> Groups:
    """Sequences [B, G, longest] with the log-probabilities of the sampling distribution; no rewards yet."""
    batch, number = inputs.batch(queries), settings.num_generations
    draw = policy.sample_distinct if settings.sampling.distinct else policy.sample
    drawn = draw(batch, shots, number, generator, settings.sampling.temperature)
    shape = drawn.sequences.shape[:2]
    return Groups(
        rows=torch.tensor(queries),
        sequences=drawn.sequences.cpu(),
        values=torch.zeros(shape),
        valid=torch.zeros(shape, dtype=torch.bool),
        behaviour=drawn.log_probs.sum(-1).float().cpu(),
        weights=drawn.weights.float().cpu(),
        shortlists=None if drawn.shortlists is None else drawn.shortlists.cpu().int(),
    ).padded(number, max(settings.shots))
