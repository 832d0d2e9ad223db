"""Prompts of a beam search: they are known exactly."""

from __future__ import annotations

from collections.abc import Iterator

from shotsmith.planning.prompts import Prompts, Stage

_QUERIES_PER_CALL = 50
"""As selectors.beam_search asks."""


def beam_search(stage: Stage, part: str, queries: int, candidates: int, width: int, shots: int) -> Iterator[Prompts]:
    """Every unused candidate after each of the `width` best sequences of every length below `shots`; InfoScore only."""
    rounds = -(-queries // _QUERIES_PER_CALL)
    frontier = tries = 1
    for length in range(shots + 1):
        if length:
            tries = frontier * (candidates - length + 1)
            frontier = min(width, tries)
        asked = queries * tries
        yield Prompts(stage, part, length, asked, asked, asked, text=False, answers=1, rounds=rounds)
