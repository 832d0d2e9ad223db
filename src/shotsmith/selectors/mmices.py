"""MMICES: of the most similar images the most similar questions (Chen et al. 2023, arXiv 2311.18021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shotsmith.records import Sequence
from shotsmith.selectors.protocol import Tasks
from shotsmith.selectors.similar import by_image, nearest, rounded, rows_at


@dataclass(frozen=True, slots=True)
class Mmices:
    """Keeps the `kept` candidates with the most similar images and ranks them by the cosine of the questions.

    The most similar question stands next to the query. Of a pool with no more than `kept` candidates nothing is cut,
    and the sequences are those of text_similar.
    """

    kept: int = 200
    name: str = "mmices"

    def select(self, tasks: Tasks, shots: int) -> list[Sequence]:
        """One sequence per query; ties go to the lower position."""
        questions = tasks.index_embeddings.questions
        sequences = []
        for query, found in enumerate(nearest(tasks, by_image, self.kept)):
            positions = np.sort(found)
            cosines = questions[rows_at(tasks, query, positions)] @ tasks.query_embeddings.questions[query]
            best = positions[np.argsort(-rounded(cosines), kind="stable")][:shots]
            sequences.append(tuple(best[::-1].tolist()))
        return sequences
