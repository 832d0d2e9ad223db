"""Candidates most similar to the query by image and question together (MMICES, Chen et al. 2023, arXiv 2311.18021)."""

from __future__ import annotations

from shotsmith.encoders.embedded import Embedded, Floats
from shotsmith.samplers.random import Rows
from shotsmith.samplers.similar import image_similarity, most_similar, text_similarity


def mixed_similarity(query: Embedded, candidates: Embedded) -> Floats:
    """Sum [N] of the image cosine and the question cosine."""
    return image_similarity(query, candidates) + text_similarity(query, candidates)


def draw_mixed(query_id: int, query: Embedded, index: Embedded, allowed: Rows, size: int, seed: int) -> Rows:
    """The `size` allowed rows with the highest sum of both cosines, highest first."""
    return allowed[most_similar(mixed_similarity(query, index)[allowed], size)]
