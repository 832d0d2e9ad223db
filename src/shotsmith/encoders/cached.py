"""Embeddings of examples, computed once and kept until encoder, images or questions change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shotsmith.encoders.embedded import Embedded, Floats
from shotsmith.encoders.precomputed import PrecomputedEncoder
from shotsmith.encoders.protocol import Encoder
from shotsmith.encoders.stamped import read_stamped, write_stamped
from shotsmith.errors import DataError
from shotsmith.files import digest
from shotsmith.progress import Progress, Silent
from shotsmith.records import Example, images_digest


def embed_examples(
    examples: Sequence[Example],
    encoder: Encoder,
    file: Path,
    progress: Progress | None = None,
    *,
    text_only: bool = False,
    fixed: bool = False,
) -> Embedded:
    """Embed images and question of every example: from `file` where it still holds, else anew (and then kept there).

    Each distinct image file and question is embedded once. Several images become the mean of their unit vectors,
    scaled to unit length: mean pooling of CLIP4Clip (Luo et al. 2021, arXiv 2104.08860), which has no weights to train
    and does not depend on their order. An example without images has a row of zeros: its text is all that is compared.
    `text_only` says that no split of the data has an image: then images have no width, and a policy sees text alone.
    Raises DataError or InputError for an image that is missing or cannot be read, an example without a precomputed
    embedding and, with `fixed`, where `file` is there and holds other examples.
    """
    if (kept := read_embedded(examples, encoder, file, text_only=text_only)) is not None:
        return kept
    if fixed and file.exists():
        raise DataError("holds the embeddings of other examples: the data have changed, or been moved", file=file)
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
    paths = list(dict.fromkeys(image for example in examples for image in example.images))
    texts = list(dict.fromkeys(example.question for example in examples))
    with progress.task(task, len(paths) + len(texts)) as advance:
        images, questions = encoder.embed_images(paths, advance), encoder.embed_texts(texts, advance)
    image_rows = {path: row for row, path in enumerate(paths)}
    text_rows = {text: row for row, text in enumerate(texts)}
    return Embedded(
        pooled(images, [[image_rows[path] for path in one.images] for one in examples], text_only),
        questions[np.array([text_rows[example.question] for example in examples], dtype=np.int64)],
    )


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
    more = ["text only"] if text_only else []
    if isinstance(encoder, PrecomputedEncoder):
        more += [str(example.id) for example in examples]
    return digest("embeddings-1", encoder.identity, *contents, *more)
