"""Prompts of the final comparison: every selector, and the two bounds, on the test queries."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from shotsmith.planning.draws import drawn_alike, drawn_at_random
from shotsmith.planning.prompts import Prompts
from shotsmith.planning.searching import beam_search
from shotsmith.planning.training import Setting
from shotsmith.recipe import BeamSettings
from shotsmith.selectors.training_free import training_free

ROUND = 16
"""Sequences of one query that the oracle asks for together."""
_ON_VALIDATION = "free on validation"
_FIXED = "fixed on validation"


def evaluation(setting: Setting) -> Iterator[Prompts]:
    """All parts. Test queries are asked about nowhere else, so that nothing is in the store.

    Where options decide, their log-probabilities are asked for instead of a text.
    """
    for prompts in _parts(setting):
        by_options = setting.options and prompts.text
        yield replace(prompts, text=False, answers=prompts.answers + setting.options) if by_options else prompts


def _parts(setting: Setting) -> Iterator[Prompts]:
    recipe = setting.recipe
    settings, queries = recipe.evaluation, recipe.data.test_queries
    shown_to = min(settings.fixed_queries, recipe.data.val_queries)
    for shots in sorted(set(settings.shots)) if settings.fixed_tries else ():
        tried = settings.fixed_tries * shown_to
        yield Prompts("evaluate", _FIXED, shots, tried, tried, tried)
    yield from _free(setting, _ON_VALIDATION, recipe.data.val_queries, known=shown_to)
    yield from _free(setting, "selectors", queries)
    for shots in sorted(set(settings.shots)):
        yield from _trained(setting, shots)
        yield from _controls(setting, shots)
    if settings.beam_width:
        candidates = setting.nearest(BeamSettings().candidates)
        yield from beam_search("evaluate", "beam", queries, candidates, settings.beam_width, max(settings.shots))
        for shots in set(settings.shots):
            yield Prompts("evaluate", "beam", shots, *(queries,) * 3, rounds=1 / len(settings.shots))
    if settings.oracle_tries:
        for shots in range(1, max(settings.shots) + 1):
            yield _oracle(setting, shots)


def by_similarity(*, has_images: bool) -> list[str]:
    """The training-free selectors that look at embeddings."""
    return [name for name in training_free(has_images=has_images) if name not in ("zero_shot", "random")]


def _free(setting: Setting, part: str, queries: int, known: int = 0) -> Iterator[Prompts]:
    """Zero-shot once; the others at every number of shots. What several of them choose alike is asked once.

    Where queries have pools, they choose from the whole bank as well. `known` queries have been shown the fixed
    sequences before.
    """
    settings, behaviour = setting.recipe.evaluation, setting.behaviour
    similar = len(by_similarity(has_images=setting.has_images))
    sizes = [setting.candidates] if setting.recipe.pools is None else [setting.candidates, setting.bank]
    fixed = int(settings.fixed_tries > 0)
    yield Prompts("evaluate", part, 0, *(queries,) * 3)
    for shots in sorted(set(settings.shots)):
        random = sum(drawn_at_random(settings.random_draws, size, shots) for size in sizes)
        chosen = random + len(sizes) * drawn_alike(similar, behaviour.similar_agree**shots) + fixed
        most = len(sizes) * (settings.random_draws + similar) + fixed
        yield Prompts("evaluate", part, shots, queries * chosen, queries * chosen - known * fixed, queries * most)


def _trained(setting: Setting, shots: int) -> Iterator[Prompts]:
    """The trained policies of all phases and seeds, those of the last phase in reverse order too."""
    recipe, phases, agree = setting.recipe, setting.phases, setting.behaviour.policies_agree
    queries, seeds = recipe.data.test_queries, len(recipe.seeds)
    ways = 1 if recipe.pools is None else 2  # from pools, and from the whole bank
    for length, alike in Counter(setting.greedy_length(shots, phase) for phase in phases).items():
        chosen = queries * ways * drawn_alike(alike * seeds, agree**length)
        yield Prompts("evaluate", "selectors", length, chosen, chosen, queries * ways * alike * seeds)
    if phases and shots > 1:
        last = setting.greedy_length(shots, phases[-1])
        reverse = queries * drawn_alike(seeds, agree**last) if last > 1 else 0.0
        yield Prompts("evaluate", "selectors", last, reverse, reverse, queries * seeds)


def _controls(setting: Setting, shots: int) -> Iterator[Prompts]:
    """The sequences of the last phase and of the best free selector, once more under each control.

    A random order is the sequence's own with probability 1 / shots!, and the store then has the answer.
    """
    recipe, phases, queries = setting.recipe, setting.phases, setting.recipe.data.test_queries
    seeds = len(recipe.seeds) if phases else 0
    length = setting.greedy_length(shots, phases[-1]) if phases else shots
    chosen = drawn_alike(seeds, setting.behaviour.policies_agree**length) + 1
    most = queries * (seeds + max(1, recipe.evaluation.random_draws))
    for control in dict.fromkeys(recipe.evaluation.controls):
        new = 1 - 1 / math.factorial(shots) if control == "shuffled_order" else 1.0
        yield Prompts("evaluate", "controls", shots, queries * chosen, queries * chosen * new, most)


def _oracle(setting: Setting, shots: int) -> Prompts:
    """Rounds of sequences for the queries that nobody has answered as well as can be, until someone has."""
    recipe, behaviour = setting.recipe, setting.behaviour
    similar = recipe.pools is not None and recipe.pools.sampler != "random"
    left = behaviour.unsolved_in_similar if similar else 1.0
    if recipe.evaluation.beam_width:
        left *= behaviour.unsolved_after_beam
    first, later = (left * share for share in (behaviour.unsolved if shots == 1 else behaviour.unsolved_longer))
    if shots not in recipe.evaluation.shots:
        first = 1.0  # no selector has tried that number
    tries = oracle_tries(setting, shots)
    queries = recipe.data.test_queries
    asked = queries * (first * min(ROUND, tries) + later * max(0, tries - ROUND))
    answers, rounds = int(recipe.vlm.gives_log_probs), -(-tries // ROUND)
    return Prompts("evaluate", "oracle", shots, asked, asked, queries * tries, answers=answers, rounds=rounds)


def oracle_tries(setting: Setting, shots: int) -> int:
    """Sequences that the oracle tries at most for a query."""
    settings = setting.recipe.evaluation
    return min(settings.oracle_tries, math.perm(setting.nearest(settings.oracle_nearest), shots))
