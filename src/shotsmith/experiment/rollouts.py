"""The recorded rollouts: which sequences each query is tried with, and what they are worth."""

from __future__ import annotations

from shotsmith.errors import InputError
from shotsmith.experiment.parts import Parts
from shotsmith.experiment.scoring import Scorer
from shotsmith.policies.protocol import Policy
from shotsmith.recipe import Recipe
from shotsmith.records import Rollout, Sequence
from shotsmith.runs import Split
from shotsmith.selectors.random import Random
from shotsmith.selectors.training_free import RECORDED, training_free
from shotsmith.training.groups import Groups, from_rollouts
from shotsmith.training.seeding import generator

_QUERIES_PER_BATCH = 256

Tried = dict[Sequence, float | None]
"""The sequences of a query, with their log-probability under the policy that chose them where there is one."""


def stop_below(recipe: Recipe) -> int:
    """The most demonstrations a policy that can stop may show: shorter sequences end by its choice. 0 if it cannot."""
    return max(recipe.grpo.shots) if recipe.policy.length == "stop" else 0


def record_rollouts(
    parts: Parts, split: Split, origin: str, seed: int, *, policy: Policy | None = None
) -> tuple[Groups, int]:
    """A group of rewarded sequences for every query of a split, and how many completions they took.

    Sequences come from the training-free selectors and, where given, from `policy` (beam search and sampling);
    without one, random sequences take the place of the sampled ones. Equal sequences of a query are kept once.
    With `rollouts.require_right`, training queries without a right rollout are left out (InputError if all are).
    """
    tried = _sequences(parts, split, seed, policy)
    pairs = [(query, sequence) for query, group in enumerate(tried) for sequence in group]
    answered = list(zip(pairs, Scorer(parts, split).outcomes(pairs, origin), strict=True))
    if parts.recipe.rollouts.require_right and split == "train":
        right = {query for (query, _), outcome in answered if outcome is not None and outcome.accuracy > 0}
        if not right:
            raise InputError("rollouts.require_right: no training query has a right rollout")
        answered = [(pair, outcome) for pair, outcome in answered if pair[0] in right]
    rollouts = [
        Rollout(query, sequence, None if outcome is None else outcome.reward, tried[query][sequence])
        for (query, sequence), outcome in answered
    ]
    outwards = parts.recipe.policy.order == "outwards"
    return from_rollouts(rollouts, stop_below=stop_below(parts.recipe), outwards=outwards), len(pairs)


def _sequences(parts: Parts, split: Split, seed: int, policy: Policy | None) -> list[Tried]:
    """Sequences of every query: the length of a group is taken in turn from `rollouts.shots`.

    Where the policy can stop, groups compare lengths: every sequence takes the next one, and one shows nothing.
    """
    settings, tasks = parts.recipe.rollouts, parts.tasks(split)
    longest = max(settings.shots)
    drawn = settings.random + (0 if policy is not None else settings.sampled)
    # A similar selector puts the most similar last: what is cut off there must be the least similar.
    chosen = [(Random(seed, draw).select(tasks, longest), False) for draw in range(drawn)]
    free = training_free(has_images=tasks.index_embeddings.has_images)
    chosen += [(free[name]().select(tasks, longest), True) for name in RECORDED if name in free]
    stops = parts.recipe.policy.length == "stop"
    groups: list[Tried] = []
    for query in range(len(tasks.queries)):
        group: Tried = {(): None} if stops else {}
        for number, (sequences, keep_last) in enumerate(chosen):
            length = settings.shots[(query + (number if stops else 0)) % len(settings.shots)]
            sequence = sequences[query]
            group[sequence[len(sequence) - length :] if keep_last else sequence[:length]] = None
        groups.append(group)
    if policy is not None:
        for query, found in enumerate(_chosen_by(parts, split, seed, policy)):
            groups[query] = found | groups[query]
    return groups


def _chosen_by(parts: Parts, split: Split, seed: int, policy: Policy) -> list[Tried]:
    """What beam search under the policy finds, and what is sampled from it."""
    settings, inputs = parts.recipe.rollouts, parts.inputs(split)
    draws = generator("recorded rollouts", seed, device=inputs.device)
    lengths = (stop_below(parts.recipe),) if policy.can_stop else settings.shots
    longest = max(lengths)
    step = -1 if policy.outwards else 1
    groups: list[Tried] = []
    for start in range(0, len(inputs), _QUERIES_PER_BATCH):
        rows = range(start, min(start + _QUERIES_PER_BATCH, len(inputs)))
        batch = inputs.batch(rows)
        found: list[Tried] = [{} for _ in rows]
        for shots in sorted(set(lengths)) if settings.beam else ():
            sequences, _ = policy.beam(batch, shots, settings.beam)
            for row, group in zip(rows, sequences.tolist(), strict=True):
                if lengths[row % len(lengths)] == shots:
                    found[row - start] |= {_shown(sequence, step): None for sequence in group if sequence[0] != -1}
        if settings.sampled:
            drawn = policy.sample(batch, longest, settings.sampled, draws)
            for row, group, steps in zip(rows, drawn.shown.tolist(), drawn.log_probs, strict=True):
                length = lengths[row % len(lengths)]
                totals = steps[:, :length].sum(-1).tolist()
                shown = (_shown(sequence[:length], step) for sequence in group)
                found[row - start] |= dict(zip(shown, totals, strict=True))
        groups += found
    return groups


def _shown(sequence: list[int], step: int) -> Sequence:
    """A sequence in the order of choice as it is shown: reversed where `step` is -1."""
    return tuple(position for position in sequence if position >= 0)[::step]
