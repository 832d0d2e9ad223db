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


def most_similar_allowed(similarities: Floats, barred: Rows, count: int) -> Rows:
    """Rows of the `count` highest similarities [N] but for the barred rows, highest first; ties to the lower row."""
    similarities = similarities.copy()
    similarities[barred] = -np.inf
    return most_similar(similarities, count)
