"""The archive: the records that can be shown, with the faults of real collections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from shotsmith.data.world.drawing import BACKGROUNDS
from shotsmith.data.world.facts import World
from shotsmith.data.world.questions import Question, Shares, ask, mistaken
from shotsmith.recipe import WorldSettings

SINGLE_FACTS: Shares = {
    "name": 0.19,
    "place": 0.19,
    "use": 0.20,
    "keeper": 0.36,
    "colour": 0.03,
    "shape": 0.03,
}
"""What the archive records: one fact a record."""
DIRECT_ANSWERS: Shares = {
    "name": 0.17,
    "place": 0.17,
    "use": 0.18,
    "keeper": 0.34,
    "pair": 0.05,
    "history": 0.01,
    "colour": 0.04,
    "shape": 0.04,
}
"""The same with a few records that answer composite questions directly."""
WRONG = 0.9
"""Share of a careless source's records that are wrong."""


def careless_backgrounds(seed: int, count: int) -> frozenset[str]:
    """The backgrounds of the careless sources of a world."""
    order = np.random.default_rng([seed, 3]).permutation(len(BACKGROUNDS))
    return frozenset(BACKGROUNDS[i] for i in order[:count])


def records(world: World, shares: Shares, settings: WorldSettings, rng: np.random.Generator) -> Iterator[Question]:
    """Draw the records of an archive, one after the other, without end.

    A near-duplicate repeats an earlier record, mistake included; only its picture and its annotators are new.
    """
    careless = careless_backgrounds(settings.seed, settings.careless_sources)
    earlier: list[Question] = []
    while True:
        if earlier and settings.near_duplicates and rng.random() < settings.near_duplicates:
            question = earlier[int(rng.integers(len(earlier)))]
        else:
            question = ask(world, shares, rng)
            if question.scene.background in careless and rng.random() < WRONG:
                question = replace(question, truth=mistaken(question, rng))
        earlier.append(question)
        yield question
