"""Embeddings of examples, computed once and kept until encoder, images or questions change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shotsmith.encoders.embedded import Embedded
from shotsmith.encoders.precomputed import PrecomputedEncoder
from shotsmith.encoders.protocol import Encoder
from shotsmith.encoders.stamped import read_stamped, write_stamped
from shotsmith.files import digest, file_digest
from shotsmith.progress import Progress, Silent
from shotsmith.records import Example


def embed_examples(
    examples: Sequence[Example],
    encoder: Encoder,
    file: Path,
    progress: Progress | None = None,
    *,
    text_only: bool = False,
) -> Embedded:
    """Embed image and question of every example: from `file` where it still holds, else anew (and then kept there).

    Each distinct image file and question is embedded once. `text_only` says that no split of the data has an image:
    then images have no width, and a policy sees text alone. Raises DataError or InputError for an image that is
    missing or cannot be read, or an example without a precomputed embedding.
    """
    if (kept := read_embedded(examples, encoder, file, text_only=text_only)) is not None:
        return kept
    if isinstance(encoder, PrecomputedEncoder):
        embedded = encoder.embeddings(examples)
        if text_only:
            embedded = Embedded(embedded.images[:, :0], embedded.questions)
    else:
        embedded = _embed(examples, encoder, (progress or Silent()), f"embed {file.stem}", text_only)
    arrays = {"images": embedded.images, "questions": embedded.questions}
    write_stamped(file, arrays, _stamp(examples, encoder, text_only))
    return embedded


def _embed(examples: Sequence[Example], encoder: Encoder, progress: Progress, task: str, text_only: bool) -> Embedded:
    paths = list(dict.fromkeys(example.image for example in examples if example.image is not None))
    texts = list(dict.fromkeys(example.question for example in examples))
    with progress.task(task, len(paths) + len(texts)) as advance:
        images, questions = encoder.embed_images(paths, advance), encoder.embed_texts(texts, advance)
    nothing = np.zeros((1, 0 if text_only else images.shape[1]), dtype=np.float32)
    images = np.concatenate([images[:, : nothing.shape[1]], nothing])
    image_rows = {path: row for row, path in enumerate(paths)}
    text_rows = {text: row for row, text in enumerate(texts)}
    return Embedded(
        images[np.array([image_rows[one.image] if one.image else -1 for one in examples], dtype=np.int64)],
        questions[np.array([text_rows[example.question] for example in examples], dtype=np.int64)],
    )


def read_embedded(examples: Sequence[Example], encoder: Encoder, file: Path, *, text_only: bool) -> Embedded | None:
    """The embeddings in `file`; None where it is absent or no longer holds those of these examples."""
    kept = read_stamped(file, _stamp(examples, encoder, text_only))
    return None if kept is None else Embedded(kept["images"], kept["questions"])


def _stamp(examples: Sequence[Example], encoder: Encoder, text_only: bool) -> str:
    contents = (
        part for one in examples for part in ("" if one.image is None else file_digest(one.image), one.question)
    )
    more = ["text only"] if text_only else []
    if isinstance(encoder, PrecomputedEncoder):
        more += [str(example.id) for example in examples]
    return digest("embeddings-1", encoder.identity, *contents, *more)
