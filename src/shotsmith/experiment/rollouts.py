"""Sequences answered by the VLM and rewarded: the recorded rollouts, and the scorer of on-policy training."""

from __future__ import annotations

from dataclasses import dataclass

from shotsmith.experiment.parts import Parts
from shotsmith.metrics.vqa import vqa_accuracy
from shotsmith.policies.pointer import PointerPolicy
from shotsmith.records import Completion, Failure, Request, Rollout, Sequence
from shotsmith.rewards import reward
from shotsmith.runs import Split
from shotsmith.selectors.random import Random
from shotsmith.selectors.training_free import TRAINING_FREE
from shotsmith.training.groups import Groups, from_rollouts
from shotsmith.training.seeding import generator

_SIMILAR = ("image_similar", "text_similar", "mixed")
_QUERIES_PER_BATCH = 256


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an answered sequence is worth."""

    reward: float
    accuracy: float
    """Official VQA accuracy, 0 to 1."""


class Scorer:
    """Rewards sequences of one split's queries."""

    def __init__(self, parts: Parts, split: Split) -> None:
        self._parts = parts
        self._tasks = parts.tasks(split)

    def __call__(self, pairs: list[tuple[int, Sequence]], origin: str) -> list[float | None]:
        """The reward of each (query, sequence); None where the completion failed."""
        return [None if outcome is None else outcome.reward for outcome in self.outcomes(pairs, origin)]

    def outcomes(self, pairs: list[tuple[int, Sequence]], origin: str) -> list[Outcome | None]:
        """Reward and accuracy of each (query, sequence); None where the completion failed."""
        completions = self._parts.ask([self._request(*pair) for pair in pairs], origin)
        return [self._outcome(query, completion) for (query, _), completion in zip(pairs, completions, strict=True)]

    def _request(self, query: int, sequence: Sequence) -> Request:
        example = self._tasks.queries[query]
        answers = (example.answer,) if self._parts.recipe.reward.answer_probability else ()
        return Request(example, self._tasks.demonstrations(query, sequence), answers)

    def _outcome(self, query: int, completion: Completion | Failure) -> Outcome | None:
        if isinstance(completion, Failure) or completion.text is None:
            return None
        example = self._tasks.queries[query]
        accuracy = vqa_accuracy(completion.text, example.answers)
        return Outcome(reward(completion, example, self._parts.recipe.reward), accuracy)


def record_rollouts(
    parts: Parts, split: Split, origin: str, seed: int, *, policy: PointerPolicy | None = None
) -> tuple[Groups, int]:
    """A group of rewarded sequences for every query of a split, and how many completions they took.

    Sequences come from the training-free selectors and, where given, from sampling `policy`; without one, random
    sequences take the place of the sampled ones. Equal sequences of a query are kept once.
    """
    pairs = [
        (query, sequence)
        for query, group in enumerate(_sequences(parts, split, seed, policy))
        for sequence in dict.fromkeys(group)
    ]
    rewards = Scorer(parts, split)(pairs, origin)
    rollouts = [Rollout(query, sequence, value) for (query, sequence), value in zip(pairs, rewards, strict=True)]
    return from_rollouts(rollouts), len(pairs)


def _sequences(parts: Parts, split: Split, seed: int, policy: PointerPolicy | None) -> list[list[Sequence]]:
    """Sequences of every query; the length of a query's sequences is taken in turn from `rollouts.shots`."""
    settings, tasks = parts.recipe.rollouts, parts.tasks(split)
    lengths = [settings.shots[query % len(settings.shots)] for query in range(len(tasks.queries))]
    longest = max(settings.shots)
    drawn = settings.random + (0 if policy is not None else settings.sampled)
    chosen = [Random(seed, draw).select(tasks, longest) for draw in range(drawn)]
    if settings.similar:
        # A similar selector puts the most similar last: what is cut off must be the least similar.
        chosen += [
            [sequence[-length:] for sequence, length in zip(selector.select(tasks, longest), lengths, strict=True)]
            for selector in (TRAINING_FREE[name]() for name in _SIMILAR)
        ]
    groups = [[per_query[query] for per_query in chosen] for query in range(len(lengths))]
    if policy is not None and settings.sampled:
        for query, sampled in enumerate(_sampled(parts, split, seed, policy, longest)):
            groups[query] += sampled
    return [[sequence[:length] for sequence in group] for group, length in zip(groups, lengths, strict=True)]


def _sampled(parts: Parts, split: Split, seed: int, policy: PointerPolicy, longest: int) -> list[list[Sequence]]:
    inputs = parts.inputs(split)
    draws = generator("recorded rollouts", seed, device=inputs.device)
    sampled: list[list[Sequence]] = []
    for start in range(0, len(inputs), _QUERIES_PER_BATCH):
        batch = inputs.batch(range(start, min(start + _QUERIES_PER_BATCH, len(inputs))))
        sequences, _ = policy.sample(batch, longest, parts.recipe.rollouts.sampled, draws)
        sampled += [[tuple(sequence) for sequence in group] for group in sequences.tolist()]
    return sampled
