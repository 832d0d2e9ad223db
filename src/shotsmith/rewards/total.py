"""The reward of an answered query under a recipe's settings, and what has to be asked for to have it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from shotsmith.recipe import RewardSettings
from shotsmith.recipe.rewards import MODES, WEIGHTED_SUM
from shotsmith.records import Example
from shotsmith.rewards.answered import Answered
from shotsmith.rewards.functions import REWARDS, RewardFunction


def reward(answered: Answered, settings: RewardSettings) -> float:
    """The weighted sum, or what the mode gives, minus the cost of the demonstrations shown.

    The cost comes last, after a mode's clipping. Raises ShotsmithError, naming the example, where a text, a
    log-probability or the captions that the settings ask for are missing, or a log-probability is none.
    """
    earned = _combined((function.of(answered) for function in _functions(settings)), settings)
    return earned - settings.demonstration_cost * answered.demonstrations


def reward_of_figures(figures: Mapping[str, float], settings: RewardSettings, demonstrations: int) -> float:
    """The same from figures computed before, by the names of `needed_figures`. KeyError where one is missing."""
    earned = _combined((figures[name] for name in _names(settings)), settings)
    return earned - settings.demonstration_cost * demonstrations


def needed_figures(settings: RewardSettings) -> tuple[str, ...]:
    """The names of the rewards that the settings combine."""
    return _names(settings)


def highest_reward(settings: RewardSettings) -> float:
    """The reward of a right and certain answer with no demonstrations: for deciding what counts as good.

    `log_prob_gain` and `cider` have no fixed height; they enter with what REWARDS calls right and can exceed it.
    """
    return _combined((function.right for function in _functions(settings)), settings)


def wanted_answers(query: Example, settings: RewardSettings) -> tuple[str, ...]:
    """The answers whose log-probability must be asked for: none, the most common true one, all true ones, options."""
    return tuple(dict.fromkeys(answer for function in _functions(settings) for answer in function.answers(query)))


def needs_zero_shot(settings: RewardSettings) -> bool:
    """Whether `Answered.zero_shot` must be given: the log-probability of `query.answer` with no demonstrations."""
    return any(function.zero_shot for function in _functions(settings))


def needs_captions(settings: RewardSettings) -> bool:
    """Whether `Answered.captions` must be given."""
    return any(function.captions for function in _functions(settings))


def _combined(values: Iterable[float], settings: RewardSettings) -> float:
    if settings.mode == WEIGHTED_SUM:
        weights = (settings.weight(name) for name in _names(settings))
        return math.fsum(weight * value for weight, value in zip(weights, values, strict=True))
    return MODES[settings.mode].combine(settings, *values)


def _functions(settings: RewardSettings) -> list[RewardFunction]:
    return [REWARDS[name] for name in _names(settings)]


def _names(settings: RewardSettings) -> tuple[str, ...]:
    """The rewards that count under the settings: the others need not have been asked for."""
    if settings.mode == WEIGHTED_SUM:
        return tuple(name for name in REWARDS if settings.weight(name))
    return MODES[settings.mode].rewards
