"""Embeddings of a list of examples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Embedded:
    """Unit-length embeddings of a list of examples, one row each."""

    images: Floats
    """[N, Di]."""
    questions: Floats
    """[N, Dt]."""

    @property
    def joined(self) -> Floats:
        """[N, Di + Dt]: image and question side by side, as policies see them."""
        return np.concatenate([self.images, self.questions], axis=1)

    def rows(self, index: npt.NDArray[np.int64]) -> Embedded:
        """The embeddings of some rows."""
        return Embedded(self.images[index], self.questions[index])
