"""Questions of a world: who asks what about which artefact, and what ten annotators say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shotsmith.data.world.drawing import Scene, random_scene
from shotsmith.data.world.facts import World
from shotsmith.data.world.language import KINDS, split_fact

ANNOTATORS = 10
ARCHIVE = {
    "name": 0.17,
    "place": 0.17,
    "use": 0.18,
    "keeper": 0.34,
    "pair": 0.05,
    "history": 0.01,
    "colour": 0.04,
    "shape": 0.04,
}
"""Share of each kind of question in the train split. An archive records single facts; composite ones are rare."""
VISITORS = {
    "name": 0.13,
    "place": 0.13,
    "use": 0.12,
    "keeper": 0.20,
    "pair": 0.17,
    "history": 0.17,
    "colour": 0.04,
    "shape": 0.04,
}
"""The same for the val and test splits: people ask more of the archive than it says in one place."""
OLD_PHOTOS = 0.5
DISAGREEMENT = 0.4
"""Share of questions on which some annotators are wrong."""


@dataclass(frozen=True, slots=True)
class Question:
    """One example before it is written."""

    scene: Scene
    kind: str
    text: str
    answers: tuple[str, ...]


def ask(world: World, shares: dict[str, float], rng: np.random.Generator) -> Question:
    """Draw one question with its picture and its annotators' answers."""
    kind = str(rng.choice(list(shares), p=np.array(list(shares.values()))))
    shape, colour = world.artefacts[int(rng.integers(len(world.artefacts)))]
    scene = random_scene(rng, shape, colour, bool(rng.random() < OLD_PHOTOS))
    phrasings = KINDS[kind].phrasings
    truth = world.answer(kind, shape, colour, old=scene.old)
    return Question(scene, kind, phrasings[int(rng.integers(len(phrasings)))], _annotate(truth, kind, rng))


def _annotate(truth: str, kind: str, rng: np.random.Generator) -> tuple[str, ...]:
    wrong = int(rng.integers(1, 4)) if rng.random() < DISAGREEMENT else 0
    answers = [truth] * (ANNOTATORS - wrong) + [_mistaken(truth, kind, rng) for _ in range(wrong)]
    return tuple(answers[i] for i in rng.permutation(ANNOTATORS))


def _mistaken(truth: str, kind: str, rng: np.random.Generator) -> str:
    """The truth with one word mistaken for another of its sort."""
    words = truth.split()
    part = int(rng.integers(len(words)))
    others = [word for word in split_fact(KINDS[kind].facts[part])[0].answers if word != words[part]]
    words[part] = others[int(rng.integers(len(others)))]
    return " ".join(words)
