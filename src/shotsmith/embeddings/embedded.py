"""What an encoder computes: the protocol of encoders, and the embeddings of a list of examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from shotsmith.errors import InputError
from shotsmith.progress import Advance

Floats = npt.NDArray[np.float32]


class Encoder(Protocol):
    """Embeds images and texts as rows of unit length."""

    @property
    def identity(self) -> str:
        """A text that changes whenever the embeddings may change."""
        ...

    def embed_images(self, paths: Sequence[Path], advance: Advance = ...) -> Floats:
        """Embeddings of N image files [N, Di]."""
        ...

    def embed_texts(self, texts: Sequence[str], advance: Advance = ...) -> Floats:
        """Embeddings of N texts [N, Dt]."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """An encoder that can keep what it has computed in a folder, and go on from there."""

    def keeping_in(self, folder: Path) -> Encoder:
        """This encoder, keeping its parts in `folder`. Whoever has written the embeddings elsewhere removes it."""
        ...


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
        """Raises InputError if `averaged` is set and image and question embeddings differ in width."""
        images, questions = self.images.shape[1], self.questions.shape[1]
        if self.averaged and images not in (0, questions):
            problem = f"a mean needs one width, and images have {images} numbers, questions {questions}"
            raise InputError(f"{problem}: set side_by_side", field="encoder.joined")

    @property
    def has_images(self) -> bool:
        """Whether any example has an image."""
        return bool(self.images.shape[1])

    @property
    def joined(self) -> Floats:
        """The input of policies: image and question side by side [N, Di + Dt], or their unit-length mean [N, Dt]."""
        if self.averaged and self.images.shape[1]:
            total = self.images + self.questions
            lengths = np.linalg.norm(total, axis=1, keepdims=True)
            unit: Floats = total / np.maximum(lengths, np.finfo(np.float32).tiny)
            return unit
        return np.concatenate([self.images, self.questions], axis=1)

    @property
    def table(self) -> JoinedTable:
        """The rows of `joined`, computed on access, for embeddings that may be mapped from disk."""
        return JoinedTable(self)

    def __add__(self, more: Embedded) -> Embedded:
        """The rows of both, one after the other."""
        images = np.concatenate([self.images, more.images])
        return Embedded(images, np.concatenate([self.questions, more.questions]), self.averaged)

    def rows(self, index: npt.NDArray[np.int64]) -> Embedded:
        """The embeddings of some rows."""
        return Embedded(self.images[index], self.questions[index], self.averaged)


@dataclass(frozen=True, slots=True)
class JoinedTable:
    """The joined embeddings of all examples [N, D]; rows are computed on access and not kept."""

    embedded: Embedded

    ndim = 2

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (N, D)."""
        images, questions = self.embedded.images.shape[1], self.embedded.questions.shape[1]
        averaged = self.embedded.averaged and bool(images)
        return len(self), questions if averaged else images + questions

    def __len__(self) -> int:
        """The number of examples N."""
        return len(self.embedded.questions)

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> Floats:
        """The embeddings [..., D] of an array of row numbers [...]."""
        joined = self.embedded.rows(rows.reshape(-1)).joined
        return joined.reshape(*rows.shape, joined.shape[1])
