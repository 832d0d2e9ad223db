"""Questions of a world: who asks what about which artefact, and what ten annotators say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shotsmith.data.world.drawing import Scene, random_scene
from shotsmith.data.world.facts import World
from shotsmith.data.world.language import KINDS, split_fact

ANNOTATORS = 10
Shares = Mapping[str, float]
"""Share of each kind of question."""
VISITORS: Shares = {
    "name": 0.13,
    "place": 0.13,
    "use": 0.12,
    "keeper": 0.20,
    "pair": 0.17,
    "history": 0.17,
    "colour": 0.04,
    "shape": 0.04,
}
"""What queries ask: more than the archive says in one place."""
OLD_PHOTOS = 0.5
DISAGREEMENT = 0.4
"""Share of questions on which some annotators are wrong."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one picture, before it is annotated and written."""

    scene: Scene
    kind: str
    text: str
    truth: str
    """What most annotators say."""


def ask(world: World, shares: Shares, rng: np.random.Generator) -> Question:
    """Draw one question with its picture and its true answer."""
    kind = str(rng.choice(list(shares), p=np.array(list(shares.values()))))
    shape, colour = world.artefacts[int(rng.integers(len(world.artefacts)))]
    scene = random_scene(rng, shape, colour, bool(rng.random() < OLD_PHOTOS))
    phrasings = KINDS[kind].phrasings
    truth = world.answer(kind, shape, colour, old=scene.old)
    return Question(scene, kind, phrasings[int(rng.integers(len(phrasings)))], truth)


def annotate(question: Question, rng: np.random.Generator) -> tuple[str, ...]:
    """What ten annotators answer: the truth, and sometimes up to three mistakes."""
    wrong = int(rng.integers(1, 4)) if rng.random() < DISAGREEMENT else 0
    answers = [question.truth] * (ANNOTATORS - wrong) + [mistaken(question, rng) for _ in range(wrong)]
    return tuple(answers[i] for i in rng.permutation(ANNOTATORS))


def mistaken(question: Question, rng: np.random.Generator) -> str:
    """The truth with one word mistaken for another of its sort."""
    words = question.truth.split()
    part = int(rng.integers(len(words)))
    others = [word for word in split_fact(KINDS[question.kind].facts[part])[0].answers if word != words[part]]
    words[part] = others[int(rng.integers(len(others)))]
    return " ".join(words)


def without_history(shares: Shares) -> Shares:
    """The same shares where nothing has changed: nobody asks who came first."""
    left = {kind: share for kind, share in shares.items() if kind != "history"}
    total = sum(left.values())
    return {kind: share / total for kind, share in left.items()}
