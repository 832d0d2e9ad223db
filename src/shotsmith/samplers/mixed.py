"""Candidates most similar to the query by image and question together (MMICES, Chen et al. 2023, arXiv 2311.18021)."""

from __future__ import annotations

from shotsmith.encoders.embedded import Embedded, Floats
from shotsmith.samplers.similar import image_similarity, text_similarity


def mixed_similarity(query: Embedded, candidates: Embedded) -> Floats:
    """Sum [N] of the image cosine and the question cosine."""
    return image_similarity(query, candidates) + text_similarity(query, candidates)
