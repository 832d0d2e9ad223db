"""What similar examples say the answer of an example should be, without asking the example itself.

Answers are predicted by kernel ridge regression on the embeddings: the kernel of two examples is a Gaussian of the
distance of their images times a Gaussian of the distance of their questions. It is approximated with landmarks
(Nystroem features; Williams and Seeger 2001, NeurIPS 13) and cross-fitted: the examples are cut into folds, and those
of a fold are predicted from the others alone. Near-duplicates share a fold, so that none vouches for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotsmith.embeddings.embedded import Embedded
from shotsmith.metrics.vqa import normalise

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

LANDMARKS = 800
FOLDS = 5
MOST_ANSWERS = 4000
"""The most common answers, which are predicted; what is said once cannot be confirmed by others."""
RIDGE = 1.0
_IMAGE_WIDTH = 0.7
_QUESTION_WIDTH = 20.0
"""Factors of the squared distances of unit vectors: questions must be close to count, images may differ."""
_BLOCK = 2048


@dataclass(frozen=True, slots=True)
class Features:
    """Nystroem features of examples."""

    values: Floats
    """[N, landmarks]."""
    folds: Rows
    """The fold of each example [N]."""


def joint_features(embedded: Embedded, groups: Rows, seed: int = 0) -> Features:
    """Features of images and questions. Examples of one group (near-duplicates) share a fold."""
    wide = embedded.questions if not embedded.has_images else embedded.images
    parts = [(wide, _IMAGE_WIDTH)]
    if embedded.has_images:
        parts.append((embedded.questions, _QUESTION_WIDTH))
    return _features(parts, groups, LANDMARKS, seed)


def look_features(embedded: Embedded, groups: Rows, seed: int = 0) -> Features:
    """Features of the look alone: of the images, or of the texts where there are none."""
    wide = embedded.images if embedded.has_images else embedded.questions
    return _features([(wide, 2.0)], groups, LANDMARKS // 2, seed)


class Smoother:
    """Finds the mean of values around each example by its features, from examples of other folds."""

    def __init__(self, features: Features) -> None:
        phi, self._folds = features.values, features.folds
        self._phi = phi
        grams = [phi[self._folds == fold].T @ phi[self._folds == fold] for fold in range(FOLDS)]
        total = np.asarray(sum(grams)) + RIDGE * np.eye(phi.shape[1], dtype=np.float32)
        self._inverses = [np.linalg.inv(total - gram) for gram in grams]

    def __call__(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The local mean of `values` [N]."""
        mean = float(values.mean())
        found = np.empty(len(values))
        for fold, inverse in enumerate(self._inverses):
            inside = self._folds == fold
            target = self._phi[~inside].T @ (values[~inside] - mean).astype(np.float32)
            found[inside] = mean + self._phi[inside] @ (inverse @ target)
        return found


@dataclass(frozen=True, slots=True)
class Support:
    """How far the other examples support answers of the first examples; all arrays are [n]."""

    own: Floats
    """Score of the answer that the example has: about its share among similar examples."""
    other: Floats
    """Highest score of any other answer."""
    planted: Floats
    """Score of the planted answer, and next the highest score of any other than that."""
    beside_planted: Floats
    suggested: Rows
    """Number of the other answer with the highest score."""


class Answers:
    """Answers as numbers: equal numbers for answers that are equal once normalised; -1 for those too rare."""

    def __init__(self, answers: Sequence[str]) -> None:
        normal = [normalise(answer) for answer in answers]
        counts: dict[str, int] = {}
        for answer in normal:
            counts[answer] = counts.get(answer, 0) + 1
        common = sorted((answer for answer, count in counts.items() if count > 1), key=lambda a: (-counts[a], a))
        self.names = tuple(common[:MOST_ANSWERS])
        number = {answer: place for place, answer in enumerate(self.names)}
        self.numbers: Rows = np.array([number.get(answer, -1) for answer in normal], dtype=np.int64)


def support(features: Features, answers: Answers, weights: Floats, planted: Rows) -> Support:
    """Predict answers from weighted examples [N]; `planted` [n] are answers to score beside the own ones."""
    phi, folds, numbers = features.values, features.folds, answers.numbers
    count, width = len(planted), len(answers.names)
    grams, targets = [], []
    for fold in range(FOLDS):
        rows = np.flatnonzero((folds == fold) & (numbers >= 0))
        grams.append((phi[rows] * weights[rows, None]).T @ phi[rows])
        order = rows[np.argsort(numbers[rows], kind="stable")]
        present, starts = np.unique(numbers[order], return_index=True)
        target = np.zeros((phi.shape[1], width), np.float32)
        if len(order):
            target[:, present] = np.add.reduceat(phi[order] * weights[order, None], starts).T
        targets.append(target)
    gram, target = np.sum(grams, axis=0), np.sum(targets, axis=0)
    found = [np.zeros(count, np.float32) for _ in range(4)]
    suggested = np.zeros(count, np.int64)
    for fold in range(FOLDS):
        solved = _solve(gram - grams[fold], target - targets[fold])
        for rows in _blocks(np.flatnonzero(folds[:count] == fold)):
            scores = np.maximum(phi[rows] @ solved, 0)
            for place, labels in ((0, numbers[rows]), (2, planted[rows])):
                own, best, answer = _own_and_best(scores, labels)
                found[place][rows], found[place + 1][rows] = own, best
                if place == 0:
                    suggested[rows] = answer
    return Support(found[0], found[1], found[2], found[3], suggested)


def _own_and_best(scores: Floats, labels: Rows) -> tuple[Floats, Floats, Rows]:
    """The score of each label (0 for -1), the highest of the others, and which that is."""
    rows = np.arange(len(scores))
    own = np.where(labels >= 0, scores[rows, labels], 0).astype(np.float32)
    others = scores.copy()
    others[rows[labels >= 0], labels[labels >= 0]] = -1
    best = others.argmax(axis=1)
    return own, np.maximum(others[rows, best], 0), best


def _features(parts: Sequence[tuple[Floats, float]], groups: Rows, landmarks: int, seed: int) -> Features:
    generator = np.random.default_rng(seed)
    count = len(groups)
    chosen = np.sort(generator.choice(count, min(count, landmarks), replace=False))
    between = _kernel(parts, chosen, chosen).astype(np.float64)
    root = np.linalg.inv(np.linalg.cholesky(between + 1e-4 * np.eye(len(chosen)))).T.astype(np.float32)
    values = np.empty((count, len(chosen)), np.float32)
    for rows in _blocks(np.arange(count)):
        values[rows] = _kernel(parts, rows, chosen) @ root
    _, group = np.unique(groups, return_inverse=True)
    return Features(values, generator.integers(0, FOLDS, group.max(initial=0) + 1)[group])


def _kernel(parts: Sequence[tuple[Floats, float]], rows: Rows, others: Rows) -> Floats:
    distances = sum(width * (2 - 2 * vectors[rows] @ vectors[others].T) for vectors, width in parts)
    kernel: Floats = np.exp(-np.asarray(distances, dtype=np.float32))
    return kernel


def _solve(gram: Floats, target: Floats) -> Floats:
    found: Floats = np.linalg.solve(gram + RIDGE * np.eye(len(gram), dtype=np.float32), target)
    return found


def _blocks(rows: Rows) -> list[Rows]:
    return [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
