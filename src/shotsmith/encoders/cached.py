"""Embeddings of examples, computed once and kept until encoder, images or questions change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from shotsmith.encoders.embedded import Embedded, Floats
from shotsmith.encoders.stamped import read_stamped, write_stamped
from shotsmith.errors import DataError
from shotsmith.files import digest, file_digest
from shotsmith.progress import Advance, Progress, Silent
from shotsmith.records import Example


class Encoder(Protocol):
    """Embeds images and texts; rows have unit length."""

    @property
    def identity(self) -> str:
        """Changes whenever the embeddings may."""
        ...

    def embed_images(self, paths: Sequence[Path], advance: Advance = ...) -> Floats:
        """[N, Di]."""
        ...

    def embed_texts(self, texts: Sequence[str], advance: Advance = ...) -> Floats:
        """[N, Dt]."""
        ...


def embed_examples(
    examples: Sequence[Example],
    encoder: Encoder,
    file: Path,
    progress: Progress | None = None,
    *,
    text_only: bool = False,
    fixed: bool = False,
) -> Embedded:
    """Embed image and question of every example: from `file` where it still holds, else anew (and then kept there).

    Each distinct image file and question is embedded once. `text_only` says that no split of the data has an image:
    then images have no width, and a policy sees text alone. Raises DataError or InputError for an image that is
    missing or cannot be read and, with `fixed`, where `file` is there and holds other examples.
    """
    if (kept := read_embedded(examples, encoder, file, text_only=text_only)) is not None:
        return kept
    if fixed and file.exists():
        raise DataError("holds the embeddings of other examples: the data have changed, or been moved", file=file)
    paths = list(dict.fromkeys(example.image for example in examples if example.image is not None))
    texts = list(dict.fromkeys(example.question for example in examples))
    with (progress or Silent()).task(f"embed {file.stem}", len(paths) + len(texts)) as advance:
        images, questions = encoder.embed_images(paths, advance), encoder.embed_texts(texts, advance)
    nothing = np.zeros((1, 0 if text_only else images.shape[1]), dtype=np.float32)
    images = np.concatenate([images[:, : nothing.shape[1]], nothing])
    image_rows = {path: row for row, path in enumerate(paths)}
    text_rows = {text: row for row, text in enumerate(texts)}
    embedded = Embedded(
        images[np.array([image_rows[one.image] if one.image else -1 for one in examples], dtype=np.int64)],
        questions[np.array([text_rows[example.question] for example in examples], dtype=np.int64)],
    )
    arrays = {"images": embedded.images, "questions": embedded.questions}
    write_stamped(file, arrays, _stamp(examples, encoder, text_only))
    return embedded


def read_embedded(examples: Sequence[Example], encoder: Encoder, file: Path, *, text_only: bool) -> Embedded | None:
    """The embeddings in `file`; None where it is absent or no longer holds those of these examples."""
    kept = read_stamped(file, _stamp(examples, encoder, text_only))
    return None if kept is None else Embedded(kept["images"], kept["questions"])


def _stamp(examples: Sequence[Example], encoder: Encoder, text_only: bool) -> str:
    contents = (
        part for one in examples for part in ("" if one.image is None else file_digest(one.image), one.question)
    )
    return digest("embeddings-1", encoder.identity, *contents, *(["text only"] if text_only else []))
