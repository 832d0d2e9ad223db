"""Prompts of the final comparison: every selector, and the two bounds, on the test queries."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from shotsmith.planning.draws import drawn_alike, drawn_at_random
from shotsmith.planning.prompts import Prompts
from shotsmith.planning.searching import beam_search
from shotsmith.planning.training import Setting
from shotsmith.runs import PHASES, Phase

ROUND = 16
"""Sequences of one query that the oracle asks for together."""


def evaluation(setting: Setting) -> Iterator[Prompts]:
    """All parts. Test queries are asked about nowhere else, so that nothing is in the store."""
    recipe = setting.recipe
    settings, queries, pool = recipe.evaluation, recipe.data.test_queries, recipe.pools.size
    yield from _selectors(setting)
    if settings.beam_width:
        yield from beam_search("evaluate", "beam", queries, pool, settings.beam_width, max(settings.shots))
        for shots in set(settings.shots):
            yield Prompts("evaluate", "beam", shots, queries, queries, rounds=1 / len(recipe.evaluation.shots))
    if settings.oracle_tries:
        for shots in range(1, max(settings.shots) + 1):
            yield _oracle(setting, shots)


def _selectors(setting: Setting) -> Iterator[Prompts]:
    """Zero-shot once; the others at every number of shots. What several of them choose alike is asked once."""
    recipe, behaviour = setting.recipe, setting.behaviour
    queries = recipe.data.test_queries
    phases: list[Phase] = [phase for phase in PHASES if getattr(recipe, phase).epochs]
    yield Prompts("evaluate", "selectors", 0, queries, queries)
    for shots in sorted(set(recipe.evaluation.shots)):
        random = drawn_at_random(recipe.evaluation.random_draws, recipe.pools.size, shots)
        similar = drawn_alike(setting.similar, behaviour.similar_agree**shots)
        yield Prompts("evaluate", "selectors", shots, queries * (random + similar), queries * (random + similar))
        lengths = Counter(setting.greedy_length(shots, phase) for phase in phases)
        for length, alike in lengths.items():
            chosen = queries * drawn_alike(alike * len(recipe.seeds), behaviour.policies_agree**length)
            yield Prompts("evaluate", "selectors", length, chosen, chosen)
        if phases and (last := setting.greedy_length(shots, phases[-1])) > 1:
            reverse = queries * drawn_alike(len(recipe.seeds), behaviour.policies_agree**last)
            yield Prompts("evaluate", "selectors", last, reverse, reverse)


def _oracle(setting: Setting, shots: int) -> Prompts:
    """Rounds of sequences for the queries that nobody has answered as well as can be, until someone has."""
    recipe = setting.recipe
    behaviour = setting.behaviour
    left = behaviour.unsolved_in_similar if recipe.pools.sampler != "random" else 1.0
    if recipe.evaluation.beam_width:
        left *= behaviour.unsolved_after_beam
    first, later = (left * share for share in (behaviour.unsolved if shots == 1 else behaviour.unsolved_longer))
    if shots not in recipe.evaluation.shots:
        first = 1.0  # no selector has tried that number
    tries = min(recipe.evaluation.oracle_tries, math.perm(recipe.pools.size, shots))
    asked = recipe.data.test_queries * (first * min(ROUND, tries) + later * max(0, tries - ROUND))
    answers = int(recipe.gives_log_probs)
    return Prompts("evaluate", "oracle", shots, asked, asked, answers=answers, rounds=-(-tries // ROUND))
