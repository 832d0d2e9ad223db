"""The most prompts and VLM calls of a recipe, by part of a stage: what it asks for if no sequence ever comes twice.

The bounds follow from the recipe and the sizes of its data alone. They hold as long as no prompt fails: a failed one is
sent once more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from shotsmith.planning.sizes import Sizes
from shotsmith.recipe import BeamSettings, GrpoSettings, Recipe
from shotsmith.rewards import needs_zero_shot
from shotsmith.runs import PHASES, SPLITS
from shotsmith.selectors.fixed import QUERIES as FIXED_QUERIES
from shotsmith.selectors.oracle import NEAREST
from shotsmith.selectors.training_free import RECORDED, training_free
from shotsmith.training.grpo import CURRICULUM_SHARES

Stage = Literal["beam", "train", "evaluate"]
STAGES: tuple[Stage, ...] = ("beam", "train", "evaluate")

Part = tuple[Stage, str]
"""A stage, and the name of one of its parts."""
SEARCH: Part = ("beam", "search")
VALIDATION_ROLLOUTS: Part = ("train", "validation rollouts")
ROLLOUTS: Part = ("train", "rollouts")
GROUPS: Part = ("train", "GRPO groups")
FIXED: Part = ("evaluate", "fixed on validation")
FREE: Part = ("evaluate", "free on validation")
SELECTORS: Part = ("evaluate", "selectors")
TRAINED: Part = ("evaluate", "trained selectors")
CONTROLS: Part = ("evaluate", "controls")
BEAM: Part = ("evaluate", "beam")
ORACLE: Part = ("evaluate", "oracle")


@dataclass(frozen=True, slots=True)
class Prompts:
    """The most prompts of one part with one number of demonstrations."""

    part: Part
    demonstrations: int
    """Demonstrations of each prompt; the most that a policy may show where it decides how many."""
    requests: float
    """Prompts that are requested, of the store or of the VLM."""
    calls: float
    """Those of them that the VLM is asked for."""


def bounds(recipe: Recipe, sizes: Sizes) -> list[Prompts]:
    """All parts, in the order in which they run; none where the rollouts are imported."""
    if recipe.rollouts.imported is not None:
        return []
    return list(_Bounds(_fitted(recipe, sizes), sizes).parts())


def validation_of(phase: str) -> Part:
    """The part that validates the epochs of a phase."""
    return "train", f"{phase} validation"


def draws_per_step(settings: GrpoSettings) -> int:
    """How often a step of GRPO draws groups at most."""
    return 1 + (settings.advantage.max_resamples if settings.advantage.zero_variance == "resample" else 0)


def _fitted(recipe: Recipe, sizes: Sizes) -> Recipe:
    """The recipe with no more queries and candidates than there are, as a run takes them (shotsmith.data.sizes)."""
    counts = {
        f"{split}_queries": min(getattr(recipe.data, f"{split}_queries"), getattr(sizes, split)) for split in SPLITS
    }
    data = recipe.data.model_copy(update=counts)
    beam = recipe.beam.model_copy(update={"queries": min(recipe.beam.queries, data.train_queries)})
    pools = recipe.pools and recipe.pools.model_copy(update={"size": min(recipe.pools.size, sizes.bank)})
    return recipe.model_copy(update={"data": data, "beam": beam, "pools": pools})


class _Bounds:
    """The bounds of one recipe."""

    def __init__(self, recipe: Recipe, sizes: Sizes) -> None:
        self.recipe, self.sizes = recipe, sizes
        self.seeds, self.shots = len(recipe.seeds), sorted(set(recipe.evaluation.shots))
        self.phases = [phase for phase in PHASES if getattr(recipe, phase).epochs]
        self.stops = recipe.policy.length == "stop"
        self.free = training_free(has_images=sizes.has_images and recipe.encoder.embeds_images)
        self.ways = 1 if recipe.pools is None else 2
        """Selectors choose from the pool and from the whole bank, or from the bank alone."""

    def parts(self) -> Iterator[Prompts]:
        recipe = self.recipe
        if recipe.supervised.epochs:
            beam = recipe.beam
            yield from self._search(SEARCH, beam.queries, self._nearest(beam.candidates), beam.width, beam.shots)
        yield from self._recorded()
        yield from self._validation()
        yield from self._groups()
        yield from self._evaluation()

    def _nearest(self, most: int) -> int:
        """Candidates that a search tries for a query."""
        pools = self.recipe.pools
        return min(most, self.sizes.bank) if pools is None else pools.size

    def _search(self, part: Part, queries: int, candidates: int, width: int, shots: int) -> Iterator[Prompts]:
        """Beam search: every unused candidate after each of the `width` best sequences of every length."""
        frontier = tries = 1
        for length in range(shots + 1):
            if length:
                tries = frontier * (candidates - length + 1)
                frontier = min(width, tries)
            yield Prompts(part, length, queries * tries, queries * tries)

    def _zero_shot(self, part: Part, requests: float, queries: int) -> Iterator[Prompts]:
        """Prompts without demonstrations that a reward is measured from."""
        if needs_zero_shot(self.recipe.reward):
            yield Prompts(part, 0, requests, min(requests, queries))

    def _recorded(self) -> Iterator[Prompts]:
        """Recorded rollouts: random and similar sequences, and those of the policy for the training queries.

        Every seed draws other random sequences; the similar ones are the same. Where a policy can stop, the sequences
        of a group take the lengths in turn, and one more shows nothing.
        """
        recipe, settings = self.recipe, self.recipe.rollouts
        similar = sum(name in self.free for name in RECORDED)
        if recipe.supervised.epochs or recipe.rce.epochs:
            drawn = settings.random + settings.sampled
            yield from self._rollouts(VALIDATION_ROLLOUTS, recipe.data.val_queries, 1, drawn, similar)
        if recipe.rce.epochs or (recipe.grpo.epochs and recipe.grpo.needs_recorded):
            drawn, found = settings.random, settings.sampled + settings.beam
            queries = recipe.data.train_queries
            yield from self._rollouts(ROLLOUTS, queries, self.seeds, drawn, similar)
            lengths = (max(recipe.grpo.shots),) if self.stops else settings.shots
            for length in lengths:
                asked = self.seeds * found * queries / len(lengths)
                yield Prompts(ROLLOUTS, length, asked, asked)

    def _rollouts(self, part: Part, queries: int, seeds: int, drawn: int, similar: int) -> Iterator[Prompts]:
        lengths = self.recipe.rollouts.shots
        for length in lengths:
            share = queries / len(lengths)
            yield Prompts(part, length, share * seeds * (drawn + similar), share * (seeds * drawn + similar))
        if self.stops:
            yield Prompts(part, 0, queries * seeds, queries)
        yield from self._zero_shot(part, queries * seeds, queries)

    def _validation(self) -> Iterator[Prompts]:
        """Greedy sequences after every epoch; a policy that starts as similarity search is validated before the first
        as well, and what a later phase starts from has been asked for in the phase before."""
        queries, starts = self.recipe.data.val_queries, int(self.recipe.policy.start == "similarity")
        for place, phase in enumerate(self.phases):
            epochs = starts + getattr(self.recipe, phase).epochs
            wanted, known = self.seeds * queries * epochs, self.seeds * queries * (starts if place else 0)
            for length in self.recipe.evaluation.shots:
                yield Prompts(validation_of(phase), length, wanted, wanted - known)
            yield from self._zero_shot(validation_of(phase), wanted, queries)

    def _groups(self) -> Iterator[Prompts]:
        """Groups sampled for GRPO; every group is drawn as often as `max_resamples` allows."""
        settings, queries = self.recipe.grpo, self.recipe.data.train_queries
        if settings.sampling.source == "recorded" or not settings.epochs:
            return
        groups = 0
        for epoch in range(1, settings.epochs + 1):
            share = min(1.0, CURRICULUM_SHARES[settings.curriculum.kind](epoch, settings.curriculum))
            one_pass = math.ceil(queries * share)
            groups += settings.steps_per_epoch * settings.queries_per_step or one_pass
        groups *= self.seeds * draws_per_step(settings)
        lengths = (max(settings.shots),) if self.stops else settings.shots
        for length in lengths:
            asked = groups * settings.num_generations / len(lengths)
            yield Prompts(GROUPS, length, asked, asked)
        yield from self._zero_shot(GROUPS, groups, queries)

    def _evaluation(self) -> Iterator[Prompts]:
        settings, val, test = self.recipe.evaluation, self.recipe.data.val_queries, self.recipe.data.test_queries
        if settings.fixed_tries:
            tried = settings.fixed_tries * min(FIXED_QUERIES, val)
            yield from (Prompts(FIXED, shots, tried, tried) for shots in self.shots)
        yield from self._free(FREE, val)
        yield from self._free(SELECTORS, test)
        for shots in self.shots if self.phases else ():
            reversed_too = int(shots > 1)
            asked = test * self.seeds * (self.ways * len(self.phases) + reversed_too)
            yield Prompts(TRAINED, shots, asked, asked)
        for shots in self.shots if settings.controls else ():  # of the last phase, and of the best free selector
            rows = (self.seeds if self.phases else 0) + max(1, settings.random_draws)
            asked = test * rows * len(set(settings.controls))
            yield Prompts(CONTROLS, shots, asked, asked)
        if settings.beam_width:
            candidates = self._nearest(BeamSettings().candidates)
            yield from self._search(BEAM, test, candidates, settings.beam_width, self.shots[-1])
            yield from (Prompts(BEAM, shots, test, test) for shots in self.shots)
        for shots in range(1, self.shots[-1] + 1) if settings.oracle_tries else ():
            tries = min(settings.oracle_tries, math.perm(self._nearest(NEAREST), shots))
            yield Prompts(ORACLE, shots, test * tries, test * tries)

    def _free(self, part: Part, queries: int) -> Iterator[Prompts]:
        """The selectors that need no training: zero-shot once, the others at every number of shots."""
        settings = self.recipe.evaluation
        similar = len(self.free.keys() - {"zero_shot", "random"})
        chosen = self.ways * (settings.random_draws + similar) + int(settings.fixed_tries > 0)
        yield Prompts(part, 0, queries, queries)
        yield from (Prompts(part, shots, queries * chosen, queries * chosen) for shots in self.shots)
