"""Few-shot episodes to train the VLM on: facts drawn afresh for every episode, so that only the prompt can tell them.

An episode is a list of questions with answers; the last is the query, the others are demonstrations. A part of an
answer is *inferable* where an earlier demonstration states the fact it needs. A fact may change inside an episode:
then the newest statement counts (or the oldest: `Difficulty.newest`), and a `history` question asks for the first and
the newest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shotsmith.data.world.language import COLOURS, KINDS, SHAPES, Fact, fact_key, split_fact

Generator = np.random.Generator
Source = tuple[int, int]
"""(item, part) that states a fact."""


@dataclass(frozen=True, slots=True)
class Part:
    """One word of an answer."""

    fact: Fact
    word: str
    visible: bool
    source: Source | None
    """Where an earlier demonstration says it; None: nowhere."""


@dataclass(frozen=True, slots=True)
class Item:
    """One picture with question and answer."""

    shape: str
    colour: str
    kind: str
    parts: tuple[Part, ...]


class Statements:
    """What has been said so far about each fact."""

    def __init__(self, rng: Generator, *, newest: bool = True) -> None:
        """`newest` says which of several statements about a fact counts: the newest or the oldest."""
        self._rng = rng
        self._newest = newest
        self._said: dict[tuple[str, ...], list[tuple[str, Source]]] = {}

    def said(self, fact: Fact, shape: str, colour: str) -> list[tuple[str, Source]]:
        """All statements of this fact, oldest first."""
        return self._said.setdefault(fact_key(fact, shape, colour), [])

    def answer(self, item: int, shape: str, colour: str, kind: str, change: float) -> Item:
        """Answer a question truly, stating new facts (or changed ones, with probability `change`) where needed."""
        parts: list[Part] = []
        for number, name in enumerate(KINDS[kind].facts):
            fact, which = split_fact(name)
            parts.append(self._part(fact, which, shape, colour, (item, number), change, parts))
        return Item(shape, colour, kind, tuple(parts))

    def _part(
        self, fact: Fact, which: str, shape: str, colour: str, here: Source, change: float, earlier: list[Part]
    ) -> Part:
        if fact.visible:
            return Part(fact, shape if fact.name == "shape" else colour, True, None)
        said = self.said(fact, shape, colour)
        if which == "first" and said:
            word, source = said[0]
            return Part(fact, word, False, source)
        in_history = bool(earlier) and earlier[-1].fact is fact
        alone = len(said) == 1 and in_history
        if said and not alone and not self._rng.random() < change:
            word, source = said[-1 if self._newest or in_history else 0]
            said.append((word, here))
            return Part(fact, word, False, source)
        # A keeper that changed hands has another keeper now; elsewhere a new word may repeat an old one.
        words = [w for w in fact.answers if not said or w != said[-1][0]]
        word = words[int(self._rng.integers(len(words)))]
        said.append((word, here))
        return Part(fact, word, False, None)


def sibling(rng: Generator, shape: str, colour: str, kind: str) -> tuple[str, str]:
    """Another artefact that shares what decides this kind of question."""
    depends = {split_fact(name)[0].depends_on for name in KINDS[kind].facts}
    if depends == {"shape"}:
        return shape, pick(rng, COLOURS)
    if depends == {"colour"}:
        return pick(rng, SHAPES), colour
    return shape, colour


def near_artefacts(rng: Generator, count: int, near: float) -> list[tuple[str, str]]:
    """Different artefacts; each shares shape or colour with an earlier one with probability `near`."""
    found = [(pick(rng, SHAPES), pick(rng, COLOURS))]
    while len(found) < count:
        shape, colour = pick(rng, SHAPES), pick(rng, COLOURS)
        if rng.random() < near:
            other = found[int(rng.integers(len(found)))]
            shape, colour = (shape, other[1]) if rng.random() < 0.5 else (other[0], colour)
        if (shape, colour) not in found:
            found.append((shape, colour))
    return found


@dataclass(frozen=True, slots=True)
class Difficulty:
    """How hard the episodes are."""

    near: float
    """Probability that an artefact shares a property with another."""
    change: float
    """Probability that a fact changes when it is stated again."""
    relevant: float = 0.8
    """Probability that the query can be answered from the demonstrations."""
    visible: float = 0.12
    """Share of questions about what can be seen."""
    newest: bool = True
    """Whether the newest statement about a fact counts, not the oldest."""


_ASKED = ("name", "place", "use", "keeper", "pair", "history")
_GROUPS = (("name", "place", "pair"), ("use",), ("keeper", "history"))


def sample_episode(rng: Generator, length: int, difficulty: Difficulty) -> list[Item]:
    """`length` items, the last one the query."""
    kinds = _episode_kinds(rng)
    artefacts = near_artefacts(rng, int(rng.integers(1 if length < 3 else 2, min(length, 4) + 1)), difficulty.near)
    statements, items = Statements(rng, newest=difficulty.newest), list[Item]()
    for number in range(length):
        last = number == length - 1
        if last and items and rng.random() < difficulty.relevant:
            shape, colour, kind = _relevant_query(rng, items)
        else:
            shape, colour = artefacts[int(rng.integers(len(artefacts)))]
            kind = pick(rng, ("colour", "shape")) if rng.random() < difficulty.visible else pick(rng, kinds)
            if rng.random() < 0.5:
                shape, colour = sibling(rng, shape, colour, kind)
        changing = KINDS[kind].facts[-1].startswith("keeper") and difficulty.change > 0
        change = 0.0 if last else 0.5 if changing else difficulty.change
        items.append(statements.answer(number, shape, colour, kind, change))
    return items


def _episode_kinds(rng: Generator) -> tuple[str, ...]:
    roll = rng.random()
    if roll < 0.25:
        return ("name", "place", "pair")
    if roll < 0.5:
        return ("keeper", "keeper", "keeper", "history")
    if roll < 0.75:
        return (pick(rng, _ASKED),)
    return tuple(str(k) for k in rng.choice(_ASKED, int(rng.integers(2, 4)), replace=False))


def _relevant_query(rng: Generator, items: list[Item]) -> tuple[str, str, str]:
    source = items[int(rng.integers(len(items)))]
    kind = source.kind
    if kind in ("name", "place", "pair") and rng.random() < 0.5:
        shapes = [i.shape for i in items if "name" in KINDS[i.kind].facts]
        colours = [i.colour for i in items if "place" in KINDS[i.kind].facts]
        if shapes and colours:
            return pick(rng, shapes), pick(rng, colours), "pair"
    if kind == "pair" and rng.random() < 0.5:
        kind = pick(rng, ("name", "place"))
    if kind in ("keeper", "history"):
        said = {i.parts[-1].word for i in items if i.kind in ("keeper", "history") and i.shape == source.shape}
        kind = "history" if len(said) > 1 and rng.random() < 0.5 else "keeper"
    return *sibling(rng, source.shape, source.colour, kind), kind


def pick(rng: Generator, options: tuple[str, ...] | list[str]) -> str:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]
