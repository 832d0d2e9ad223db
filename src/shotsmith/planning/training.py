"""Prompts of the training stage: recorded rollouts, validation after every epoch, groups for GRPO."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from shotsmith.planning.behaviour import Behaviour
from shotsmith.planning.draws import drawn_alike, drawn_at_random, drawn_in_turn
from shotsmith.planning.prompts import Prompts
from shotsmith.recipe import GrpoSettings, Recipe
from shotsmith.runs import PHASES, Phase

GROUPS = "GRPO groups"
SIMILAR = 3
"""Selectors by similarity where there are images; one where there are none."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the prompts of a recipe depend on beside it."""

    recipe: Recipe
    behaviour: Behaviour
    similar: int = SIMILAR
    answers: float = 1.0
    """Answers of a query whose log-probability the reward wants."""
    zero_shot: bool = False
    """Whether the reward wants the log-probability without demonstrations."""

    @property
    def stops(self) -> bool:
        """Whether the policy decides how many demonstrations to show."""
        return self.recipe.policy.length == "stop"

    def sampled_length(self, allowed: int, steps: float = 0.0) -> float:
        """Demonstrations of a sampled sequence where a policy may show `allowed`, after so many steps of GRPO."""
        return allowed * self.behaviour.settled(self.behaviour.shown, steps) if self.stops else allowed

    def greedy_length(self, allowed: int, phase: Phase) -> float:
        """Those of a greedy one, of a policy that this phase has trained."""
        if not self.stops or phase == "grpo":
            return self.sampled_length(allowed, math.inf)
        return allowed * self.behaviour.shown_greedy

    def unshown(self, part: str, requests: float, calls: float) -> Iterator[Prompts]:
        """What a gain in log-probability is measured from, where the reward asks for it."""
        if self.zero_shot:
            yield Prompts("train", part, 0, requests, calls, text=False, answers=1)

    def rewarded(self, part: str, demonstrations: float, requests: float, calls: float, rounds: float) -> Prompts:
        """Prompts of the training stage as rewards want them answered."""
        return Prompts("train", part, demonstrations, requests, calls, answers=self.answers, rounds=rounds)


def training(setting: Setting) -> Iterator[Prompts]:
    """All parts, of all seeds."""
    recipe = setting.recipe
    yield from _recorded(setting, "validation rollouts", recipe.data.val_queries, seeds=1, policy=False)
    yield from setting.unshown("validation rollouts", recipe.data.val_queries, recipe.data.val_queries)
    if _records(recipe):
        yield from _recorded(setting, "rollouts", recipe.data.train_queries, seeds=len(recipe.seeds), policy=True)
        queries = recipe.data.train_queries
        yield from setting.unshown("rollouts", queries * len(recipe.seeds), queries - _searched(recipe))
    yield from _validation(setting)
    yield from _groups(setting)


def _records(recipe: Recipe) -> bool:
    return bool(recipe.rce.epochs) or (bool(recipe.grpo.epochs) and recipe.grpo.needs_recorded)


def _searched(recipe: Recipe) -> int:
    """Queries whose log-probability without demonstrations beam search has asked for."""
    return recipe.beam.queries if recipe.supervised.epochs else 0


def _recorded(setting: Setting, part: str, queries: int, seeds: int, *, policy: bool) -> Iterator[Prompts]:
    """Sequences drawn at random, by similarity and, where there is a policy, from it. Equal ones are kept once.

    The groups take the lengths in turn; where the policy can stop, the sequences of every group do, and one of them
    shows nothing.
    """
    recipe, behaviour = setting.recipe, setting.behaviour
    settings, turns = recipe.rollouts, len(recipe.rollouts.shots)
    groups, share = (float(queries), 1 / turns) if setting.stops else (queries / turns, 1.0)
    random = share * (settings.random + (0 if policy else settings.sampled))
    if setting.stops:
        yield setting.rewarded(part, 0, queries * seeds, queries, 0)
    for length in settings.shots:
        similar = drawn_alike(share * setting.similar * settings.similar, behaviour.similar_agree**length)
        once, ever = (drawn_at_random(number * random, recipe.pools.size, length) for number in (1, seeds))
        yield setting.rewarded(part, length, groups * seeds * (once + similar), groups * (ever + similar), 0)
    if policy:
        yield from _from_policy(setting, part, queries, seeds)


def _from_policy(setting: Setting, part: str, queries: int, seeds: int) -> Iterator[Prompts]:
    """Recorded sequences that are sampled from the supervised policy, or found by beam search under it."""
    settings, behaviour = setting.recipe.rollouts, setting.behaviour
    lengths = _policy_lengths(setting)
    for allowed in lengths:
        length, groups = setting.sampled_length(allowed), queries / len(lengths)
        once = drawn_alike(settings.sampled + settings.beam, behaviour.sampled_agree[0] ** length)
        agree = behaviour.visits_agree**length
        ever = once + drawn_alike(seeds * once, agree) - drawn_alike(once, agree)
        yield setting.rewarded(part, length, groups * seeds * once, groups * ever, 0)


def _policy_lengths(setting: Setting) -> tuple[int, ...]:
    recipe = setting.recipe
    return (max(recipe.grpo.shots),) if setting.stops else recipe.rollouts.shots


def _validation(setting: Setting) -> Iterator[Prompts]:
    """The greedy sequences of every epoch at every number of shots; some are those of an epoch of the same phase."""
    recipe = setting.recipe
    queries = recipe.data.val_queries
    for _, phase in product(recipe.seeds, PHASES):
        epochs = getattr(recipe, phase).epochs
        agree = setting.behaviour.epochs_agree
        if phase == "rce" or (phase == "grpo" and recipe.grpo.sampling.source == "recorded"):
            agree = setting.behaviour.epochs_agree_recorded
        for allowed in recipe.evaluation.shots if epochs else ():
            length = setting.greedy_length(allowed, phase)
            calls = drawn_alike(epochs, agree**length)
            rounds = epochs / len(recipe.evaluation.shots)
            yield setting.rewarded(f"{phase} validation", length, queries * epochs, queries * calls, rounds)
        yield from setting.unshown(f"{phase} validation", queries * epochs, 0)


def _groups(setting: Setting) -> Iterator[Prompts]:
    """Groups sampled from the policy, and those that replace groups without signal."""
    recipe = setting.recipe
    settings = recipe.grpo
    if settings.sampling.source == "recorded" or not settings.epochs:
        return
    share = 1 - settings.sampling.recorded_share if settings.sampling.source == "mixture" else 1.0
    queries, epoch_draws = recipe.data.train_queries, draws_per_step(settings)
    lengths = (max(settings.shots),) if setting.stops else settings.shots
    visits = 0.0
    for _ in recipe.seeds:
        trained = 0.0
        for epoch in range(1, settings.epochs + 1):
            taking_part = queries * _curriculum(settings, epoch)
            steps = settings.steps_per_epoch or -(-int(taking_part) // settings.queries_per_step)
            wanted = steps * settings.queries_per_step if settings.steps_per_epoch else taking_part
            halfway = trained + steps / 2
            sampled = share * wanted * sum(_no_signal(setting, halfway) ** draw for draw in range(epoch_draws))
            later = visits + sampled / taking_part
            new = 0.0 if _records(recipe) else (min(1.0, later) - min(1.0, visits)) * (queries - _searched(recipe))
            yield from setting.unshown(GROUPS, sampled, new)
            for allowed in lengths:
                yield _groups_of_length(setting, allowed, len(lengths), taking_part, (visits, later), halfway, steps)
            visits, trained = later, trained + steps


def _no_signal(setting: Setting, trained: float) -> float:
    """Share of the groups without signal; none where lengths alone, or probabilities, make all rewards differ."""
    reward, least = setting.recipe.reward, setting.recipe.grpo.advantage.signal_std
    if (setting.stops and reward.demonstration_cost >= least) or (reward.needs_log_probs and not least):
        return 0.0
    return setting.behaviour.settled(setting.behaviour.no_signal, trained)


def steps_of(recipe: Recipe) -> float:
    """Steps of GRPO that a policy takes with groups that it has sampled itself."""
    settings = recipe.grpo
    if settings.sampling.source == "recorded":
        return 0.0
    return settings.epochs * (settings.steps_per_epoch or -(-recipe.data.train_queries // settings.queries_per_step))


def draws_per_step(settings: GrpoSettings) -> int:
    """How often a step may draw groups."""
    return 1 + (settings.advantage.max_resamples if settings.advantage.zero_variance == "resample" else 0)


def _groups_of_length(
    setting: Setting, allowed: int, turns: int, queries: float, visits: tuple[float, float], trained: float, steps: int
) -> Prompts:
    """Of one epoch; `visits` are those to each of `queries` before it and after it, by all seeds so far; `trained` are
    the steps that this seed has taken."""
    recipe, behaviour = setting.recipe, setting.behaviour
    generations, length = recipe.grpo.num_generations, setting.sampled_length(allowed, trained)
    in_group = drawn_alike(generations, behaviour.settled(behaviour.sampled_agree, trained) ** length)
    if recipe.grpo.sampling.distinct:
        in_group = generations
    recorded = 0.0
    if _records(recipe) and allowed in _policy_lengths(setting):
        recorded = recipe.rollouts.sampled / len(_policy_lengths(setting))
    agree = behaviour.visits_agree**length
    first, last = (drawn_in_turn(number, turns, in_group, agree, recorded) for number in visits)
    requests = queries * (visits[1] - visits[0]) / turns * in_group
    rounds = steps * draws_per_step(recipe.grpo) / turns
    return setting.rewarded(GROUPS, length, requests, queries * (last - first), rounds)


def _curriculum(settings: GrpoSettings, epoch: int) -> float:
    """The mean share of the queries that take part in an epoch."""
    curriculum = settings.curriculum
    if curriculum.kind == "staged":
        return curriculum.share if epoch <= curriculum.epochs else 1.0
    if curriculum.kind == "continuous":
        return min(1.0, curriculum.share + (1 - curriculum.share) * (epoch - 1) / curriculum.epochs)
    return 1.0
