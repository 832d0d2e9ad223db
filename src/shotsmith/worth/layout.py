"""A layout of examples on a plane that keeps neighbours together, for maps.

Principal components show the largest differences, which are those between kinds of questions, and pile everything else
up. The layout therefore starts from them and is then refined as UMAP does (McInnes et al. 2018, arXiv 1802.03426):
points attract their nearest neighbours and repel random others, with the kernel 1 / (1 + d^2) and equal weights for all
neighbours. Distances within a neighbourhood mean something; those between far islands do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shotsmith.embeddings.embedded import Embedded

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

MOST = 6000
"""Points that are laid out; the others are placed beside their nearest laid-out points."""
NEIGHBOURS = 12
_ROUNDS = 100
_OTHERS = 4
"""Random points that repel each point in a round, per neighbour that attracts it."""
_STEP = 0.5
_BLOCK = 1024


def layout(embedded: Sequence[Embedded], *, seed: int = 0) -> list[Floats]:
    """Places [n, 2] within -1 .. 1 for each list of examples, by their joined embeddings. The same seed, the same map.

    Of too many examples, those of the last lists are laid out first.
    """
    vectors = np.concatenate([one.joined for one in embedded])
    generator = np.random.default_rng(seed)
    count = len(vectors)
    first = len(embedded[0].questions)
    order = np.concatenate([generator.permutation(first), np.arange(first, count)])
    chosen = np.sort(order[::-1][:MOST])
    places = np.empty((count, 2))
    places[chosen] = _refined(vectors[chosen], principal(vectors[chosen]), generator)
    rest = np.setdiff1d(np.arange(count), chosen)
    if len(rest):
        beside = _nearest(vectors[rest], vectors[chosen], 3)
        places[rest] = places[chosen][beside].mean(axis=1) + generator.normal(0, 0.05, (len(rest), 2))
    middle = places.mean(axis=0)
    size = max(float(np.abs(places - middle).max()), 1e-12)
    ends = np.cumsum([len(one.questions) for one in embedded])[:-1]
    return [np.asarray(part) for part in np.split((places - middle) / size, ends)]


def principal(vectors: npt.NDArray[np.float32]) -> Floats:
    """The first two principal components [N, 2], of standard deviation up to 1; signs fixed by the largest loading."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred / len(centred))
    axes = directions[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    places = np.zeros((len(vectors), 2))
    places[:, : axes.shape[1]] = centred @ axes
    return np.asarray(places / max(float(places.std(axis=0).max()), 1e-12))


def _refined(vectors: npt.NDArray[np.float32], start: Floats, generator: np.random.Generator) -> Floats:
    count = len(vectors)
    nearest = min(NEIGHBOURS, count - 1)
    if nearest < 1:
        return start
    # Equal embeddings would start, and stay, on one point.
    places = 1.5 * start + generator.normal(0, 0.1, start.shape)
    heads = np.repeat(np.arange(count), nearest + 1)
    tails = _nearest(vectors, vectors, nearest + 1).reshape(-1)  # mostly with the point itself, which pulls nowhere
    for number in range(_ROUNDS):
        step = _STEP * (1 - number / _ROUNDS)
        move = np.zeros_like(places)
        between = places[tails] - places[heads]
        pull = between / (1 + (between**2).sum(axis=1))[:, None]
        _add(move, heads, pull)
        _add(move, tails, -pull)
        for _ in range(_OTHERS):
            strangers = generator.integers(count, size=count)
            apart = places - places[strangers]
            squared = (apart**2).sum(axis=1)
            move += nearest * apart / ((0.05 + squared) * (1 + squared))[:, None]
        places = places + step * np.clip(move, -4, 4)
    return np.asarray(places)


def _add(move: Floats, rows: Rows, amounts: Floats) -> None:
    for side in range(2):
        move[:, side] += np.bincount(rows, weights=amounts[:, side], minlength=len(move))


def _nearest(vectors: npt.NDArray[np.float32], others: npt.NDArray[np.float32], count: int) -> Rows:
    """The rows of `others` with the smallest distances to each vector [N, count], the nearest first."""
    lengths = (others**2).sum(axis=1)
    count = min(count, len(others))
    found = np.empty((len(vectors), count), dtype=np.int64)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        distances = lengths - 2 * block @ others.T
        rows = np.argpartition(distances, count - 1, axis=1)[:, :count]
        order = np.take_along_axis(distances, rows, axis=1).argsort(axis=1, kind="stable")
        found[start : start + len(block)] = np.take_along_axis(rows, order, axis=1)
    return found
