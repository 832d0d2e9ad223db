"""The examples nearest to a query: exact search by cosines, and faiss indexes for very many examples.

An index finds more rows than are wanted; these are compared again in double precision, so that order and ties are
those of exact search.

- `flat` compares with all examples, many queries at a time.
- `ivf` keeps the examples as 8-bit integers in about sqrt(N) lists, one around each of as many centres, and compares
  with the lists whose centres are nearest (Jegou et al. 2011, "Product quantization for nearest neighbor search").

An index is built once, kept in a file, and mapped into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shotsmith.embeddings.embedded import Embedded, Floats
from shotsmith.files import digest, replacing
from shotsmith.progress import Progress, Silent

Rows = npt.NDArray[np.int64]

DECIMALS = 5
"""The decimals to which cosines are rounded before they are compared, so that float noise decides no ties."""
_QUERIES = 64
"""Queries searched at a time; the last block is padded, so that no result depends on the number of queries."""
_ROWS = 16_384
"""Examples compared or added at a time."""
TRAINED_ON = 40
"""Examples from which the centre of a list is computed."""
_SPARE = 2
"""How many times the wanted number of rows is found first, to be compared again."""


def image_similarity(query: Embedded, candidates: Embedded) -> Floats:
    """Cosines [N] of the image of one query (one row) and the images of candidates."""
    similarities: Floats = candidates.images @ query.images[0]
    return similarities


def text_similarity(query: Embedded, candidates: Embedded) -> Floats:
    """Cosines [N] of the question of one query (one row) and the questions of candidates."""
    similarities: Floats = candidates.questions @ query.questions[0]
    return similarities


def mixed_similarity(query: Embedded, candidates: Embedded) -> Floats:
    """Sums [N] of the image cosine and the question cosine (MMICES, Chen et al. 2023, arXiv 2311.18021)."""
    return image_similarity(query, candidates) + text_similarity(query, candidates)


def most_similar(similarities: Floats, count: int) -> Rows:
    """Positions of the `count` highest similarities, highest first; ties go to the lower position."""
    rounded = np.round(similarities, DECIMALS)
    threshold = np.partition(rounded, len(rounded) - count)[len(rounded) - count]
    above = np.flatnonzero(rounded >= threshold)
    return above[np.argsort(-rounded[above], kind="stable")][:count].astype(np.int64)


def most_similar_allowed(similarities: Floats, barred: Rows, count: int) -> Rows:
    """Rows of the `count` highest similarities [N] except the barred rows, highest first; ties to the lower row."""
    similarities = similarities.copy()
    similarities[barred] = -np.inf
    return most_similar(similarities, count)


class Nearest:
    """Finds the rows with the highest inner products of vectors whose parts [N, D1], [N, D2] ... are kept apart."""

    def __init__(self, parts: Sequence[Floats], index: Any | None) -> None:
        """Search by the faiss index `index`; without one, compare with all rows."""
        self.parts = parts
        self._index = index

    def pools(self, queries: Floats, barred: Sequence[Rows], size: int, progress: Progress | None = None) -> Rows:
        """The `size` most similar rows of each query [n, D] except its barred rows: [n, size], most similar first."""
        pools = np.empty((len(queries), size), dtype=np.int64)
        with (progress or Silent()).task("search", len(queries), "query") as advance:
            step = _QUERIES if self._index is not None else 16 * _QUERIES
            for start in range(0, len(queries), step):
                block = queries[start : start + step]
                wanted = min(_SPARE * size + max(map(len, barred[start : start + step])), len(self.parts[0]))
                found = self._found(block, step, wanted)
                for row, (query, rows) in enumerate(zip(block, found, strict=True), start=start):
                    pools[row] = self._best(query, rows, barred[row], size)
                advance(len(block))
        return pools

    def _found(self, block: Floats, step: int, wanted: int) -> Rows:
        filled = np.zeros((step, block.shape[1]), dtype=np.float32)
        filled[: len(block)] = block
        if self._index is not None:
            _, rows = self._index.search(filled, wanted)
            return np.asarray(rows, dtype=np.int64)[: len(block)]
        import faiss

        heap = faiss.ResultHeap(step, wanted, keep_max=True)
        for start, vectors in blocks(self.parts):
            values, rows = faiss.knn(filled, vectors, min(wanted, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)
            heap.add_result(values, rows + start)
        heap.finalize()
        return np.asarray(heap.I, dtype=np.int64)[: len(block)]

    def _best(self, query: Floats, rows: Rows, barred: Rows, size: int) -> Rows:
        rows = np.sort(rows[rows >= 0])
        rows = rows[~np.isin(rows, barred)]
        if len(rows) < size:  # the lists that were searched hold too few
            every = sum((part @ one for part, one in self._sides(query)), np.float32(0))
            return most_similar_allowed(np.asarray(every), barred, size)
        similarities = sum(part[rows].astype(np.float64) @ one.astype(np.float64) for part, one in self._sides(query))
        return rows[most_similar_allowed(np.asarray(similarities), np.empty(0, dtype=np.int64), size)]

    def _sides(self, query: Floats) -> Iterator[tuple[Floats, Floats]]:
        start = 0
        for part in self.parts:
            yield part, query[start : start + part.shape[1]]
            start += part.shape[1]


def open_ivf(parts: Sequence[Floats], probes: int, folder: Path | None, progress: Progress | None = None) -> Any:
    """Build the `ivf` index over the rows of `parts`, or read the one that `folder` keeps (see `kept`)."""
    index = kept("ivf", parts, folder, lambda: _build(parts, progress))
    index.nprobe = min(probes, index.nlist)
    return index


def kept(kind: str, parts: Sequence[Floats], folder: Path | None, build: Callable[[], Any]) -> Any:
    """Read the faiss index over the rows of `parts` from `folder` if it was built from exactly these, else build it.

    The name of its file follows from the rows; files of other rows are removed. An index from a file is mapped into
    memory; with `folder` None the index is only in memory.
    """
    import faiss

    if folder is None:
        return build()
    file = folder / f"{kind}-{digest(f'{kind}-1', *map(buffer, parts))[:32]}.faiss"
    if not file.exists():
        built = build()
        with replacing(file) as temporary:
            faiss.write_index(built, str(temporary))
        del built
        for other in folder.glob(f"{kind}-*.faiss"):
            if other != file:
                other.unlink()
    return faiss.read_index(str(file), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)


def buffer(array: Floats) -> memoryview | bytes:
    """The bytes of an array, not copied."""
    return np.ascontiguousarray(array).data.cast("B") if array.size else b""


def _build(parts: Sequence[Floats], progress: Progress | None) -> Any:
    import faiss

    count, width = len(parts[0]), sum(part.shape[1] for part in parts)
    lists = max(1, round(count**0.5))
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(width), width, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.own_fields, index.cp.min_points_per_centroid, index.cp.niter = False, 1, 8
    sample = np.sort(np.random.default_rng(0).choice(count, min(count, lists * TRAINED_ON), replace=False))
    with (progress or Silent()).task("build the index", count, "example") as advance:
        index.train(joined([part[sample] for part in parts]))
        for _, vectors in blocks(parts):
            index.add(vectors)
            advance(len(vectors))
    return index


def blocks(parts: Sequence[Floats]) -> Iterator[tuple[int, Floats]]:
    """Blocks of rows: the number of the first row, and the rows with their parts concatenated [at most 16,384, D]."""
    for start in range(0, len(parts[0]), _ROWS):
        yield start, joined([part[start : start + _ROWS] for part in parts])


def joined(parts: Sequence[Floats]) -> Floats:
    """The parts [N, D1], [N, D2] ... concatenated to [N, D]."""
    return np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))
