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
from shotsmith.selectors.training_free import RECORDED, training_free

GROUPS = "GRPO groups"


@dataclass(frozen=True, slots=True)
class Setting:
    """What the prompts of a recipe depend on beside it."""

    recipe: Recipe
    behaviour: Behaviour
    bank: int
    """Entries of the bank."""
    has_images: bool = True
    answers: float = 1.0
    """Answers of a query whose log-probability the reward wants."""
    zero_shot: bool = False
    """Whether the reward wants the log-probability without demonstrations."""
    options: float = 0.0
    """Options of a test query whose log-probability decides what was answered; 0 where the generated text does."""

    @property
    def candidates(self) -> int:
        """What a query can choose from: its pool, or the whole bank."""
        return self.bank if self.recipe.pools is None else self.recipe.pools.size

    def nearest(self, most: int) -> int:
        """What a search tries for a query: its pool, or so many entries of the whole bank."""
        return min(most, self.bank) if self.recipe.pools is None else self.recipe.pools.size

    @property
    def phases(self) -> list[Phase]:
        """Those that are trained, in order."""
        return [phase for phase in PHASES if getattr(self.recipe, phase).epochs]

    @property
    def starts(self) -> int:
        """Epochs of a phase before its first: 1 where the start is validated too."""
        return int(self.recipe.policy.start == "similarity")

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

    def unshown(self, part: str, requests: float, calls: float, most: float) -> Iterator[Prompts]:
        """What a gain in log-probability is measured from, where the reward asks for it."""
        if self.zero_shot:
            yield Prompts("train", part, 0, requests, calls, most, text=False, answers=1)

    def rewarded(
        self, part: str, demonstrations: float, requests: float, calls: float, most: float, rounds: float
    ) -> Prompts:
        """Prompts of the training stage as rewards want them answered."""
        return Prompts("train", part, demonstrations, requests, calls, most, answers=self.answers, rounds=rounds)


def training(setting: Setting) -> Iterator[Prompts]:
    """All parts, of all seeds."""
    recipe = setting.recipe
    if records_validation(recipe):
        part, queries = "validation rollouts", recipe.data.val_queries
        yield from _recorded(setting, part, queries, seeds=1, policy=False)
        yield from setting.unshown(part, queries, queries, queries)
    if _records(recipe):
        queries, new = recipe.data.train_queries, recipe.data.train_queries - _searched(recipe)
        yield from _recorded(setting, "rollouts", queries, seeds=len(recipe.seeds), policy=True)
        yield from setting.unshown("rollouts", queries * len(recipe.seeds), new, new)
    yield from _validation(setting)
    yield from _groups(setting)


def records_validation(recipe: Recipe) -> bool:
    """Whether rollouts of the validation queries are recorded (experiment.material)."""
    return bool(recipe.supervised.epochs or recipe.rce.epochs)


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
    free = training_free(has_images=setting.has_images)
    similar = share * sum(name in free for name in RECORDED) * settings.similar
    if setting.stops:
        yield setting.rewarded(part, 0, queries * seeds, queries, queries, 0)
    for length in settings.shots:
        chosen = drawn_alike(similar, behaviour.similar_agree**length)
        once, ever = (drawn_at_random(number * random, setting.candidates, length) for number in (1, seeds))
        requests, calls = groups * seeds * (once + chosen), groups * (ever + chosen)
        yield setting.rewarded(part, length, requests, calls, groups * (seeds * random + similar), 0)
    if policy:
        yield from _from_policy(setting, part, queries, seeds)


def _from_policy(setting: Setting, part: str, queries: int, seeds: int) -> Iterator[Prompts]:
    """Recorded sequences that are sampled from the supervised policy, or found by beam search under it."""
    settings, behaviour = setting.recipe.rollouts, setting.behaviour
    lengths, wanted = _policy_lengths(setting), settings.sampled + settings.beam
    for allowed in lengths:
        length, groups = setting.sampled_length(allowed), queries / len(lengths)
        once = drawn_alike(wanted, behaviour.sampled_agree[0] ** length)
        agree = behaviour.visits_agree**length
        ever = once + drawn_alike(seeds * once, agree) - drawn_alike(once, agree)
        yield setting.rewarded(part, length, groups * seeds * once, groups * ever, groups * seeds * wanted, 0)


def _policy_lengths(setting: Setting) -> tuple[int, ...]:
    recipe = setting.recipe
    return (max(recipe.grpo.shots),) if setting.stops else recipe.rollouts.shots


def _validation(setting: Setting) -> Iterator[Prompts]:
    """The greedy sequences of every epoch at every number of shots; some are those of an epoch of the same phase.

    The start of a later phase is an epoch of the one before it: its prompts have been answered.
    """
    recipe = setting.recipe
    queries = recipe.data.val_queries
    for (place, phase), _ in product(enumerate(setting.phases), recipe.seeds):
        known = setting.starts if place else 0
        epochs = setting.starts + getattr(recipe, phase).epochs
        agree = setting.behaviour.epochs_agree
        if phase == "rce" or (phase == "grpo" and recipe.grpo.sampling.source == "recorded"):
            agree = setting.behaviour.epochs_agree_recorded
        for allowed in recipe.evaluation.shots:
            length = setting.greedy_length(allowed, phase)
            calls = queries * (drawn_alike(epochs, agree**length) - known)
            most = queries * (epochs - known)
            rounds = epochs / len(recipe.evaluation.shots)
            yield setting.rewarded(f"{phase} validation", length, queries * epochs, calls, most, rounds)
    for place, phase in enumerate(setting.phases):
        wanted = queries * (setting.starts + getattr(recipe, phase).epochs) * len(recipe.seeds)
        new = 0 if place or records_validation(recipe) else queries
        yield from setting.unshown(f"{phase} validation", wanted, new, new)


def _groups(setting: Setting) -> Iterator[Prompts]:
    """Groups sampled from the policy, and those that replace groups without signal."""
    recipe = setting.recipe
    settings = recipe.grpo
    if settings.sampling.source == "recorded" or not settings.epochs:
        return
    share = 1 - settings.sampling.recorded_share if settings.sampling.source == "mixture" else 1.0
    queries, epoch_draws = recipe.data.train_queries, draws_per_step(settings)
    lengths = (max(settings.shots),) if setting.stops else settings.shots
    visits = all_sampled = 0.0
    for _ in recipe.seeds:
        trained = 0.0
        for epoch in range(1, settings.epochs + 1):
            taking_part = queries * _curriculum(settings, epoch)
            steps = settings.steps_per_epoch or -(-int(taking_part) // settings.queries_per_step)
            wanted = steps * settings.queries_per_step if settings.steps_per_epoch else taking_part
            halfway = trained + steps / 2
            sampled = share * wanted * sum(_no_signal(setting, halfway) ** draw for draw in range(epoch_draws))
            later = visits + sampled / taking_part
            most = math.ceil(wanted) * epoch_draws / len(lengths)
            for allowed in lengths:
                turns = len(lengths)
                yield _groups_of_length(setting, allowed, turns, taking_part, (visits, later), halfway, steps, most)
            visits, trained, all_sampled = later, trained + steps, all_sampled + sampled
    new = 0 if _records(recipe) else queries - _searched(recipe)
    yield from setting.unshown(GROUPS, all_sampled, min(1.0, visits) * new, new)


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
    setting: Setting,
    allowed: int,
    turns: int,
    queries: float,
    visits: tuple[float, float],
    trained: float,
    steps: int,
    most: float,
) -> Prompts:
    """Of one epoch; `visits` are those to each of `queries` before it and after it, by all seeds so far; `trained` are
    the steps that this seed has taken; `most` is the largest number of groups."""
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
    return setting.rewarded(GROUPS, length, requests, queries * (last - first), generations * most, rounds)


def _curriculum(settings: GrpoSettings, epoch: int) -> float:
    """The mean share of the queries that take part in an epoch."""
    curriculum = settings.curriculum
    if curriculum.kind == "staged":
        return curriculum.share if epoch <= curriculum.epochs else 1.0
    if curriculum.kind == "continuous":
        return min(1.0, curriculum.share + (1 - curriculum.share) * (epoch - 1) / curriculum.epochs)
    return 1.0
