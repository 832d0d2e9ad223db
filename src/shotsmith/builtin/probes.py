"""What the built-in VLM must be able to do, as episodes whose last item is the question.

All probes use facts made up on the spot; `benchmarks/builtin_vlm.py` asks them on pictures the VLM was not trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from shotsmith.builtin.episodes import Item, Statements, near_artefacts, pick, sibling
from shotsmith.data.world.language import COLOURS, KINDS, SHAPES, fact_key, split_fact

Generator = np.random.Generator
SINGLE = ("name", "place", "use", "keeper")
"""Kinds of question that one demonstration can answer."""
_NEAR = 0.5


def visible(rng: Generator) -> list[Item]:
    """What can be seen, without demonstrations."""
    return _zero_shot(rng, ("colour", "shape"))


def knowledge(rng: Generator) -> list[Item]:
    """What cannot be known, without demonstrations: chance is the best there is."""
    return _zero_shot(rng, SINGLE)


def one_relevant(rng: Generator) -> list[Item]:
    """A single, relevant demonstration."""
    return among(rng, 1)


def one_of_four(rng: Generator) -> list[Item]:
    """Four demonstrations of one kind of question, exactly one of them relevant, in any position."""
    return among(rng, 4)


def pair_of_two(rng: Generator) -> list[Item]:
    """A two-part question from the two demonstrations that state its parts."""
    return _pair(rng, 0)


def pair_of_four(rng: Generator) -> list[Item]:
    """The same among two distractors."""
    return _pair(rng, 2)


def newest_wins(rng: Generator) -> list[Item]:
    """Two demonstrations contradict each other: the later one counts."""
    return _changed(rng, pick(rng, SINGLE), 0)


def history_of_two(rng: Generator) -> list[Item]:
    """First and present keeper, from the two demonstrations that name them, in this order."""
    return _changed(rng, "history", 0)


def history_of_four(rng: Generator) -> list[Item]:
    """The same among two distractors."""
    return _changed(rng, "history", 2)


def among(rng: Generator, shots: int) -> list[Item]:
    """One relevant demonstration among `shots` of the same kind of question with different deciding properties."""
    kind = pick(rng, SINGLE)
    statements = Statements(rng)
    while True:
        artefacts = near_artefacts(rng, shots, _NEAR)
        if len({_key(kind, *artefact) for artefact in artefacts}) == shots:
            break
    items = [statements.answer(i, *artefact, kind, 0.0) for i, artefact in enumerate(artefacts)]
    shape, colour = artefacts[int(rng.integers(shots))]
    return [*items, statements.answer(shots, *sibling(rng, shape, colour, kind), kind, 0.0)]


def _zero_shot(rng: Generator, kinds: tuple[str, ...]) -> list[Item]:
    return [Statements(rng).answer(0, pick(rng, SHAPES), pick(rng, COLOURS), pick(rng, kinds), 0.0)]


def _pair(rng: Generator, distractors: int) -> list[Item]:
    shape, colour = pick(rng, SHAPES), pick(rng, COLOURS)
    told = [("name", *sibling(rng, shape, colour, "name")), ("place", *sibling(rng, shape, colour, "place"))]
    for _ in range(distractors):
        told.append((pick(rng, ("name", "place")), *_elsewhere(rng, shape, colour)))
    return _tell(rng, told, 0.0, ("pair", shape, colour))


def _changed(rng: Generator, kind: str, distractors: int) -> list[Item]:
    """The fact behind the query is stated twice, differently."""
    shape, colour = pick(rng, SHAPES), pick(rng, COLOURS)
    statement = "keeper" if kind == "history" else kind
    told = [(statement, *sibling(rng, shape, colour, statement)) for _ in range(2)]
    told += [(statement, *_elsewhere(rng, shape, colour)) for _ in range(distractors)]
    return _tell(rng, told, 1.0, (kind, shape, colour))


def _tell(rng: Generator, told: list[tuple[str, str, str]], change: float, query: tuple[str, str, str]) -> list[Item]:
    statements = Statements(rng)
    order = [told[int(i)] for i in rng.permutation(len(told))]
    items = [statements.answer(i, shape, colour, kind, change) for i, (kind, shape, colour) in enumerate(order)]
    kind, shape, colour = query
    return [*items, statements.answer(len(items), *sibling(rng, shape, colour, kind), kind, 0.0)]


def _elsewhere(rng: Generator, shape: str, colour: str) -> tuple[str, str]:
    """An artefact that shares neither shape nor colour."""
    return pick(rng, [s for s in SHAPES if s != shape]), pick(rng, [c for c in COLOURS if c != colour])


def _key(kind: str, shape: str, colour: str) -> tuple[str, ...]:
    return fact_key(split_fact(KINDS[kind].facts[0])[0], shape, colour)


PROBES: Mapping[str, Callable[[Generator], list[Item]]] = {
    probe.__name__: probe
    for probe in (
        visible,
        knowledge,
        one_relevant,
        one_of_four,
        pair_of_two,
        pair_of_four,
        newest_wins,
        history_of_two,
        history_of_four,
    )
}
