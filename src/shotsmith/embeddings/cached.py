"""Embeddings of examples, computed once and kept in a file until encoder, images or questions change.

The file is in the safetensors format, stamped with the digest of everything that it was computed from.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from shotsmith.embeddings.embedded import Embedded, Encoder, Floats, Resumable
from shotsmith.embeddings.precomputed import PrecomputedEncoder
from shotsmith.errors import DataError
from shotsmith.files import digest, replacing
from shotsmith.progress import Progress, Silent
from shotsmith.records import Example, images_digest

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]

_KINDS: Mapping[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}
"""The kinds of arrays that are written: embeddings, and numbers of rows."""
_CHECKED = 16 * 2**20
"""Bytes that are checked at each end of an array when it is opened."""


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
    parts = file.with_suffix(".parts")
    if isinstance(encoder, PrecomputedEncoder):
        embedded = encoder.embeddings(examples)
        if text_only:
            embedded = Embedded(embedded.images[:, :0], embedded.questions)
    else:
        computing = encoder.keeping_in(parts) if isinstance(encoder, Resumable) else encoder
        embedded = _embed(examples, computing, (progress or Silent()), f"embed {file.stem}", text_only)
    arrays = {"images": embedded.images, "questions": embedded.questions}
    write_stamped(file, arrays, _stamp(examples, encoder, text_only))
    shutil.rmtree(parts, ignore_errors=True)
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


def write_stamped(path: Path, arrays: Mapping[str, Array], stamp: str) -> None:
    """Write the arrays atomically, with `stamp` and a digest of what they hold in the file's metadata."""
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with replacing(path) as temporary:
        save_file(whole, temporary, {"stamp": stamp, "digest": _digest(whole)})


def read_stamped(path: Path, stamp: str) -> dict[str, Array] | None:
    """The arrays in `path`, or None where the file is absent, damaged or made from something else.

    Arrays are mapped into memory, read-only: only the parts that are accessed are loaded. Of a large array, damage is
    found in its first and last bytes (`_CHECKED`), where a power loss leaves zeros.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as stored:
            told = stored.metadata() or {}
        if told.get("stamp") != stamp:
            return None
        arrays = _mapped(path)
    except (SafetensorError, OSError) as error:
        logger.warning("%s is damaged (%s) and is made anew", path, error)
        return None
    if "digest" in told and told["digest"] != _digest(arrays):  # files of older versions have none
        logger.warning("%s is damaged (it is not what was written) and is made anew", path)
        return None
    return arrays


def _digest(arrays: Mapping[str, Array]) -> str:
    """SHA-256 over names, types, shapes, and the first and last bytes of each array."""
    parts: list[str | bytes] = []
    for name, array in sorted(arrays.items()):
        flat = array.reshape(-1)
        count = _CHECKED // array.itemsize
        parts += [f"{name} {array.dtype.str} {array.shape}", flat[:count].tobytes(), flat[count:][-count:].tobytes()]
    return digest(*parts)


def _mapped(path: Path) -> dict[str, Array]:
    """The arrays of a sound safetensors file: the header's length, the header in JSON, then the data."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {name: _map(path, 8 + length, told) for name, told in header.items()}


def _map(path: Path, start: int, told: Mapping[str, Any]) -> Array:
    kind, shape = _KINDS[told["dtype"]], tuple(told["shape"])
    if 0 in shape:  # nothing to map
        return np.zeros(shape, kind)
    mapped: Array = np.memmap(path, kind, "r", start + int(told["data_offsets"][0]), shape)
    return mapped
