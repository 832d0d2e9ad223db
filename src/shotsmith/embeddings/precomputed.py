"""Embeddings computed by other programs, read from files and looked up by the id of an example."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from shotsmith.data.rows import shown
from shotsmith.embeddings.embedded import Embedded, Floats
from shotsmith.errors import DataError, InputError
from shotsmith.files import digest, file_digest
from shotsmith.progress import Advance
from shotsmith.recipe import PrecomputedSettings
from shotsmith.records import Example

Ids = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

IDS, EMBEDDINGS = "ids", "embeddings"
"""The names of the arrays in .npz and .safetensors files."""
ID_COLUMN, EMBEDDING_COLUMN = "id", "embedding"
"""The names of the columns of Parquet files."""


@dataclass(frozen=True, slots=True)
class EmbeddingTable:
    """Embeddings of unit length, by example id."""

    file: Path
    vectors: Floats
    """The embeddings [N, D]."""
    rows: Mapping[int, int]
    """The row of each id."""

    def of(self, ids: Sequence[int]) -> Floats:
        """The embeddings [len(ids), D]. Raises DataError for an example without a row."""
        for number in ids:
            if number not in self.rows:
                raise DataError(f"has no embedding of the example with id {number}", file=self.file)
        found: Floats = self.vectors[np.array([self.rows[number] for number in ids], dtype=np.int64)]
        return found


@dataclass(frozen=True, slots=True)
class PrecomputedEncoder:
    """The encoder of examples whose embeddings are in files; it has no model for any other example."""

    identity: str
    """A text that changes whenever a file changes."""
    texts: EmbeddingTable
    images: EmbeddingTable | None

    def embeddings(self, examples: Sequence[Example]) -> Embedded:
        """The embeddings of some examples: zeros for one without an image, no width where there is no file of images.

        Raises DataError for an example that has no row in a file.
        """
        questions = self.texts.of([example.id for example in examples])
        if self.images is None:
            return Embedded(np.zeros((len(examples), 0), dtype=np.float32), questions)
        images = np.zeros((len(examples), self.images.vectors.shape[1]), dtype=np.float32)
        shown_rows = [row for row, example in enumerate(examples) if example.image is not None]
        images[shown_rows] = self.images.of([examples[row].id for row in shown_rows])
        return Embedded(images, questions)

    def embed_images(self, paths: Sequence[Path], advance: Advance = lambda _amount: None) -> Floats:
        """An empty array [0, Di]. Raises InputError for any image: there is no model to embed it."""
        if paths:
            raise _no_model(f"the image {paths[0]}")
        return np.zeros((0, 0 if self.images is None else self.images.vectors.shape[1]), dtype=np.float32)

    def embed_texts(self, texts: Sequence[str], advance: Advance = lambda _amount: None) -> Floats:
        """An empty array [0, Dt]. Raises InputError for any text: there is no model to embed it."""
        if texts:
            raise _no_model(f"the text {shown(texts[0])}")
        return np.zeros((0, self.texts.vectors.shape[1]), dtype=np.float32)


def load_precomputed(settings: PrecomputedSettings) -> PrecomputedEncoder:
    """Read and check the files of precomputed embeddings. Raises DataError naming file, row and field."""
    files = [file for file in (settings.texts, settings.images, settings.ids) if file is not None]
    identity = "precomputed:" + digest(*(file_digest(file) for file in files))
    texts = read_embeddings(settings.texts, settings.ids)
    images = None if settings.images is None else read_embeddings(settings.images, settings.ids)
    return PrecomputedEncoder(identity, texts, images)


def read_embeddings(file: Path, ids: Path | None = None) -> EmbeddingTable:
    """Read a table of embeddings and scale its rows to unit length; `ids` lists the ids of the rows of a .npy file.

    Raises DataError naming file, row and field: where ids and rows differ in number, an id is no whole number or
    occurs twice, rows differ in width, or one is not finite or all zeros.
    """
    try:
        numbers, vectors = _READERS[file.suffix](file, ids)
    except FileNotFoundError as error:
        raise DataError("no such file", file=error.filename or file) from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, SafetensorError, TypeError) as error:
        raise DataError(f"cannot be read as {file.suffix}: {error}", file=file) from error
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or not vectors.shape[1]:
        problem = f"is no matrix of floating-point numbers, one row an example: {vectors.dtype} {vectors.shape}"
        raise DataError(problem, file=file, field=EMBEDDINGS)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        problem = f"are no list of whole numbers: {numbers.dtype} {numbers.shape}"
        raise DataError(problem, file=file, field=IDS)
    if len(numbers) != len(vectors):
        raise DataError(f"{len(numbers):,} ids of {len(vectors):,} embeddings", file=ids or file, field=IDS)
    rows: dict[int, int] = {}
    for row, number in enumerate(numbers.tolist()):
        if number in rows:
            raise DataError(f"{number} stands in row {rows[number]} already", file=ids or file, row=row, field=IDS)
        rows[number] = row
    return EmbeddingTable(file, _unit(vectors, file), rows)


def _unit(vectors: Array, file: Path) -> Floats:
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    for faulty, problem in ((~np.isfinite(lengths), "is not finite"), (lengths == 0, "is all zeros")):
        if faulty.any():
            raise DataError(problem, file=file, row=int(np.argmax(faulty)), field=EMBEDDINGS)
    unit: Floats = (vectors / lengths[:, None]).astype(np.float32)
    return unit


def _npy(file: Path, ids: Path | None) -> tuple[Array, Array]:
    if ids is None:
        raise DataError("holds no ids: name a file of them", file=file, field="encoder.precomputed.ids")
    numbers = []
    for row, line in enumerate(ids.read_text(encoding="utf-8-sig").splitlines()):
        try:
            numbers.append(int(line))
        except ValueError as error:
            raise DataError(f"is no whole number: {shown(line)}", file=ids, row=row, field=IDS) from error
    vectors = np.load(file, allow_pickle=False)
    if not isinstance(vectors, np.ndarray):
        raise DataError("holds several arrays: name it .npz", file=file)
    return np.array(numbers, dtype=np.int64), vectors


def _npz(file: Path, _ids: Path | None) -> tuple[Array, Array]:
    with np.load(file, allow_pickle=False) as arrays:
        return _arrays({name: arrays[name] for name in (IDS, EMBEDDINGS) if name in arrays}, file)


def _safetensors(file: Path, _ids: Path | None) -> tuple[Array, Array]:
    return _arrays(load_file(file), file)


def _arrays(arrays: Mapping[str, Array], file: Path) -> tuple[Array, Array]:
    for name in (IDS, EMBEDDINGS):
        if name not in arrays:
            raise DataError("there is no such array", file=file, field=name)
    return arrays[IDS], arrays[EMBEDDINGS]


def _parquet(file: Path, _ids: Path | None) -> tuple[Array, Array]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as stored:
        for name in (ID_COLUMN, EMBEDDING_COLUMN):
            if name not in stored.schema_arrow.names:
                raise DataError("there is no such column", file=file, field=name)
        kind = stored.schema_arrow.field(EMBEDDING_COLUMN).type
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
            raise DataError(f"holds {kind}, no lists of numbers", file=file, field=EMBEDDING_COLUMN)
        table = stored.read(columns=[ID_COLUMN, EMBEDDING_COLUMN])
    numbers: Array = table[ID_COLUMN].to_numpy()
    lists: list[Array] = table[EMBEDDING_COLUMN].to_numpy().tolist()
    width = len(lists[0]) if lists and lists[0] is not None else 0
    for row, values in enumerate(lists):
        if values is None or len(values) != width:
            wide = "no numbers" if values is None else f"{len(values)} numbers"
            raise DataError(f"{wide}, and row 0 has {width}", file=file, row=row, field=EMBEDDING_COLUMN)
    return numbers, np.array(lists, dtype=None if not lists else np.asarray(lists[0]).dtype)


_READERS: Mapping[str, Callable[[Path, Path | None], tuple[Array, Array]]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".parquet": _parquet,
}


def _no_model(what: str) -> InputError:
    return InputError(
        f"{what} has no precomputed embedding, and there is no model to embed it: give its embedding",
        field="encoder.precomputed",
    )
