"""Candidates most similar to the query, by image or by question: exact search by inner product."""

from __future__ import annotations

import numpy as np

from shotsmith.encoders.embedded import Embedded, Floats
from shotsmith.samplers.random import Rows

_DECIMALS = 5
"""Cosines closer than this are ties, so that float noise decides nothing."""


def image_similarity(query: Embedded, candidates: Embedded) -> Floats:
    """Cosines [N] of one query's image (one row) and each candidate's."""
    similarities: Floats = candidates.images @ query.images[0]
    return similarities


def text_similarity(query: Embedded, candidates: Embedded) -> Floats:
    """Cosines [N] of one query's question (one row) and each candidate's."""
    similarities: Floats = candidates.questions @ query.questions[0]
    return similarities


def most_similar(similarities: Floats, count: int) -> Rows:
    """Positions of the `count` highest similarities, highest first; ties go to the lower position."""
    rounded = np.round(similarities, _DECIMALS)
    threshold = np.partition(rounded, len(rounded) - count)[len(rounded) - count]
    above = np.flatnonzero(rounded >= threshold)
    return above[np.argsort(-rounded[above], kind="stable")][:count].astype(np.int64)


def draw_image_similar(query_id: int, query: Embedded, index: Embedded, allowed: Rows, size: int, seed: int) -> Rows:
    """The `size` allowed rows whose images are most similar to the query's, most similar first."""
    return allowed[most_similar(image_similarity(query, index)[allowed], size)]


def draw_text_similar(query_id: int, query: Embedded, index: Embedded, allowed: Rows, size: int, seed: int) -> Rows:
    """The `size` allowed rows whose questions are most similar to the query's, most similar first."""
    return allowed[most_similar(text_similarity(query, index)[allowed], size)]
