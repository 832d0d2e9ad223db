"""Embeddings of examples, computed once and kept until encoder, images or questions change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from shotsmith.encoders.embedded import Embedded, Floats
from shotsmith.encoders.stamped import read_stamped, write_stamped
from shotsmith.files import digest
from shotsmith.progress import Advance, Progress, Silent
from shotsmith.records import Example, images_digest


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
) -> Embedded:
    """Embed images and question of every example: from `file` where it still holds, else anew (and then kept there).

    Each distinct image file and question is embedded once. Several images become the mean of their unit vectors,
    scaled to unit length: mean pooling of CLIP4Clip (Luo et al. 2021, arXiv 2104.08860), which has no weights to train
    and does not depend on their order. An example without images has a row of zeros: its text is all that is compared.
    `text_only` says that no split of the data has an image: then images have no width, and a
    policy sees text alone. Raises DataError or InputError for an image that is missing or cannot be read.
    """
    if (kept := read_embedded(examples, encoder, file, text_only=text_only)) is not None:
        return kept
    paths = list(dict.fromkeys(image for example in examples for image in example.images))
    texts = list(dict.fromkeys(example.question for example in examples))
    with (progress or Silent()).task(f"embed {file.stem}", len(paths) + len(texts)) as advance:
        images, questions = encoder.embed_images(paths, advance), encoder.embed_texts(texts, advance)
    image_rows = {path: row for row, path in enumerate(paths)}
    text_rows = {text: row for row, text in enumerate(texts)}
    embedded = Embedded(
        pooled(images, [[image_rows[path] for path in one.images] for one in examples], text_only),
        questions[np.array([text_rows[example.question] for example in examples], dtype=np.int64)],
    )
    arrays = {"images": embedded.images, "questions": embedded.questions}
    write_stamped(file, arrays, _stamp(examples, encoder, text_only))
    return embedded


def read_embedded(examples: Sequence[Example], encoder: Encoder, file: Path, *, text_only: bool) -> Embedded | None:
    """The embeddings in `file`; None where it is absent or no longer holds those of these examples."""
    kept = read_stamped(file, _stamp(examples, encoder, text_only))
    return None if kept is None else Embedded(kept["images"], kept["questions"])


def pooled(images: Floats, rows: Sequence[Sequence[int]], text_only: bool = False) -> Floats:
    """One embedding for each example [N, Di], from the rows of `images` that embed its images: the row itself of one,
    the mean of several scaled to unit length, zeros of none. With `text_only`, Di is 0."""
    found = np.zeros((len(rows), 0 if text_only else images.shape[1]), dtype=np.float32)
    for number, some in enumerate(rows):
        if len(some) == 1:
            found[number] = images[some[0]]
        elif some:
            total = images[some].sum(axis=0)
            found[number] = total / max(float(np.linalg.norm(total)), np.finfo(np.float32).tiny)
    return found


def _stamp(examples: Sequence[Example], encoder: Encoder, text_only: bool) -> str:
    contents = (part for one in examples for part in (images_digest(one), one.question))
    return digest("embeddings-1", encoder.identity, *contents, *(["text only"] if text_only else []))
