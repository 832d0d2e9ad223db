"""One world: which artefacts there are, and what is true of them. Everything follows from the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shotsmith.data.world.language import COLOURS, FACTS, KINDS, SHAPES, fact_key, split_fact

SHAPES_IN_WORLD = 5
COLOURS_IN_WORLD = 5
COLOURS_PER_SHAPE = 3


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


def build_world(seed: int) -> World:
    """Draw a world. Different artefacts never share a fact by accident where the words suffice."""
    rng = np.random.default_rng([seed, 1])
    shapes = [SHAPES[i] for i in rng.permutation(len(SHAPES))[:SHAPES_IN_WORLD]]
    colours = [COLOURS[i] for i in rng.permutation(len(COLOURS))[:COLOURS_IN_WORLD]]
    artefacts = tuple(
        (shape, colours[(i + step) % COLOURS_IN_WORLD])
        for i, shape in enumerate(shapes)
        for step in range(COLOURS_PER_SHAPE)
    )
    facts: dict[tuple[str, ...], str] = {}
    former_keepers: dict[tuple[str, ...], str] = {}
    for fact in FACTS.values():
        keys = list(dict.fromkeys(fact_key(fact, shape, colour) for shape, colour in artefacts))
        if fact.visible:
            facts.update({key: key[1] for key in keys})
            continue
        changing = fact.name == "keeper"
        needed = len(keys) * (2 if changing else 1)
        words = [fact.answers[i % len(fact.answers)] for i in rng.permutation(max(needed, len(fact.answers)))]
        facts.update(zip(keys, words, strict=False))
        if changing:
            former_keepers.update(zip(keys, words[len(keys) :], strict=False))
    return World(artefacts, facts, former_keepers)
