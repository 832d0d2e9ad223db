"""Rewards: pure functions of a completion and the truth, and their weighted sum.

A failure has no reward at all: whoever asks for completions gives None in its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from shotsmith.errors import ShotsmithError
from shotsmith.metrics.vqa import vqa_accuracy as official_vqa_accuracy
from shotsmith.recipe import RewardSettings
from shotsmith.records import Completion, Example


def vqa_accuracy(completion: Completion, query: Example) -> float:
    """Official VQA accuracy of the generated answer, 0 to 1. Raises ShotsmithError where no text was asked for."""
    if completion.text is None:
        raise ShotsmithError(f"example {query.id}: the reward needs a generated answer, but none was asked for")
    return official_vqa_accuracy(completion.text, query.answers)


def answer_probability(completion: Completion, query: Example) -> float:
    """Probability of the most common true answer, 0 to 1. Raises ShotsmithError where it was not asked for."""
    log_prob = completion.log_probs.get(query.answer)
    if log_prob is None:
        raise ShotsmithError(f"example {query.id}: the reward needs the log-probability of '{query.answer}'")
    return math.exp(log_prob)


REWARDS: dict[str, Callable[[Completion, Example], float]] = {
    "vqa_accuracy": vqa_accuracy,
    "answer_probability": answer_probability,
}
"""Every reward by the name of its weight in the recipe; each is between 0 and 1."""


def reward(completion: Completion, query: Example, settings: RewardSettings) -> float:
    """The weighted sum of the rewards whose weight is above 0."""
    weights = weights_of(settings)
    return math.fsum(weight * REWARDS[name](completion, query) for name, weight in weights.items() if weight)


def highest_reward(settings: RewardSettings) -> float:
    """The reward of a right and certain answer."""
    return math.fsum(weights_of(settings).values())


def weights_of(settings: RewardSettings) -> dict[str, float]:
    """The weight of every reward, 0 where it is not used."""
    return {name: getattr(settings, name) for name in REWARDS}
