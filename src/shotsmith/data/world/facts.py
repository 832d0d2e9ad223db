"""One world: which artefacts there are, and what is true of them. Everything follows from the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from shotsmith.data.world.language import COLOURS, FACTS, KINDS, SHAPES, fact_key, split_fact

FEW = 5
"""Shapes, and colours, of a world of few artefacts."""
COLOURS_PER_SHAPE = 3
"""Colours that each shape has there."""


@dataclass(frozen=True, slots=True)
class World:
    """Artefacts as (shape, colour), and the answer of every fact of theirs, before and after the change."""

    artefacts: tuple[tuple[str, str], ...]
    facts: dict[tuple[str, ...], str]
    former_keepers: dict[tuple[str, ...], str]

    def answer(self, kind: str, shape: str, colour: str, *, old: bool) -> str:
        """The true answer to a question of this kind about an artefact; an old photo asks about its own time."""
        words = []
        for name in KINDS[kind].facts:
            fact, which = split_fact(name)
            key = fact_key(fact, shape, colour)
            former = fact.name == "keeper" and (which == "first" or (old and kind == "keeper"))
            words.append(self.former_keepers[key] if former else self.facts[key])
        return " ".join(words)


def build_world(seed: int, *, artefacts: Literal["all", "few"] = "all", changing_keepers: bool = True) -> World:
    """Draw a world. Different artefacts never share a fact by accident where the words suffice."""
    rng = np.random.default_rng([seed, 1])
    shapes = [SHAPES[i] for i in rng.permutation(len(SHAPES))]
    colours = [COLOURS[i] for i in rng.permutation(len(COLOURS))]
    pairs = tuple(product(shapes, colours)) if artefacts == "all" else _few(shapes[:FEW], colours[:FEW])
    facts: dict[tuple[str, ...], str] = {}
    former_keepers: dict[tuple[str, ...], str] = {}
    for fact in FACTS.values():
        keys = list(dict.fromkeys(fact_key(fact, shape, colour) for shape, colour in pairs))
        if fact.visible:
            facts.update({key: key[1] for key in keys})
            continue
        needed = len(keys) * (2 if fact.name == "keeper" else 1)
        words = [fact.answers[i % len(fact.answers)] for i in rng.permutation(max(needed, len(fact.answers)))]
        facts.update(zip(keys, words, strict=False))
        if fact.name == "keeper":
            former_keepers.update(zip(keys, words[len(keys) :] if changing_keepers else words, strict=False))
    return World(pairs, facts, former_keepers)


def _few(shapes: Sequence[str], colours: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Every shape in three colours, every colour on three shapes."""
    return tuple(
        (shape, colours[(i + step) % len(colours)])
        for i, shape in enumerate(shapes)
        for step in range(COLOURS_PER_SHAPE)
    )
