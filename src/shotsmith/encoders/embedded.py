"""Embeddings of a list of examples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotsmith.errors import InputError

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Embedded:
    """Unit-length embeddings of a list of examples, one row each."""

    images: Floats
    """[N, Di]; a row of zeros for an example without an image, Di = 0 where the data have none at all."""
    questions: Floats
    """[N, Dt]."""
    averaged: bool = False
    """Whether policies see one mean of image and question; then Di = Dt, or Di = 0."""

    def __post_init__(self) -> None:
        """Raise InputError where a mean is wanted of embeddings that differ in width."""
        images, questions = self.images.shape[1], self.questions.shape[1]
        if self.averaged and images not in (0, questions):
            problem = f"a mean needs one width, and images have {images} numbers, questions {questions}"
            raise InputError(f"{problem}: set side_by_side", field="encoder.joined")

    @property
    def has_images(self) -> bool:
        """Whether the data have images at all."""
        return bool(self.images.shape[1])

    @property
    def joined(self) -> Floats:
        """What policies see: image and question side by side [N, Di + Dt], or the mean [N, Dt], of unit length."""
        if self.averaged and self.images.shape[1]:
            total = self.images + self.questions
            lengths = np.linalg.norm(total, axis=1, keepdims=True)
            unit: Floats = total / np.maximum(lengths, np.finfo(np.float32).tiny)
            return unit
        return np.concatenate([self.images, self.questions], axis=1)

    @property
    def table(self) -> JoinedTable:
        """`joined` of a table that may be mapped from disk: rows are joined when they are asked for."""
        return JoinedTable(self)

    def rows(self, index: npt.NDArray[np.int64]) -> Embedded:
        """The embeddings of some rows."""
        return Embedded(self.images[index], self.questions[index], self.averaged)


@dataclass(frozen=True, slots=True)
class JoinedTable:
    """What policies see of every example [N, D], computed for the rows that are asked for and never kept."""

    embedded: Embedded

    ndim = 2

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        images, questions = self.embedded.images.shape[1], self.embedded.questions.shape[1]
        averaged = self.embedded.averaged and bool(images)
        return len(self), questions if averaged else images + questions

    def __len__(self) -> int:
        """N."""
        return len(self.embedded.questions)

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> Floats:
        """Rows of any shape [...] -> [..., D]."""
        joined = self.embedded.rows(rows.reshape(-1)).joined
        return joined.reshape(*rows.shape, joined.shape[1])
