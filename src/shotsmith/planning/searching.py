"""Prompts of a beam search: they are known exactly."""

from __future__ import annotations

from collections.abc import Iterator

from shotsmith.planning.prompts import Prompts, Stage

_QUERIES_PER_CALL = 50
"""As selectors.beam_search asks."""


def beam_search(stage: Stage, part: str, queries: int, pool: int, width: int, shots: int) -> Iterator[Prompts]:
    """Every unused candidate after each of the `width` best sequences of every length below `shots`; InfoScore only."""
    rounds = -(-queries // _QUERIES_PER_CALL)
    frontier = 1
    yield Prompts(stage, part, 0, queries, queries, text=False, answers=1, rounds=rounds)
    for length in range(1, shots + 1):
        tries = frontier * (pool - length + 1)
        yield Prompts(stage, part, length, queries * tries, queries * tries, text=False, answers=1, rounds=rounds)
        frontier = min(width, tries)
