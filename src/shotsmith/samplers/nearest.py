"""The most similar of very many examples, by a faiss index that is built once, kept, and mapped into memory.

Both kinds find more rows than are wanted; these are compared again in double precision, so that order and ties are
those of exact search.

- `flat` compares with all examples, many queries at a time.
- `ivf` keeps the examples as 8-bit integers in about sqrt(N) lists, one around each of as many centres, and compares
  with the lists whose centres are nearest (Jegou et al. 2011, "Product quantization for nearest neighbor search").
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shotsmith.encoders.embedded import Floats
from shotsmith.files import digest, replacing
from shotsmith.progress import Progress, Silent
from shotsmith.samplers.random import Rows
from shotsmith.samplers.similar import most_similar_allowed

logger = logging.getLogger(__name__)

_QUERIES = 64
"""Searched at a time; the last block is filled up, so that no result depends on how many queries there are."""
_ROWS = 16_384
"""Examples compared or added at a time."""
TRAINED_ON = 40
"""Examples a list's centre is computed from."""
_SPARE = 2
"""So many times the wanted rows are found first, and compared again."""


class Nearest:
    """Finds the rows with the highest inner products. `parts` [N, D1], [N, D2]... stand side by side, never joined."""

    def __init__(self, parts: Sequence[Floats], index: Any | None) -> None:
        """`index` is the faiss index of an `ivf` search; without one all rows are compared."""
        self.parts = parts
        self._index = index

    def pools(self, queries: Floats, barred: Sequence[Rows], size: int, progress: Progress | None = None) -> Rows:
        """For each query [n, D] its `size` most similar rows but for the barred ones [n, size], most similar first."""
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
    """The `ivf` index over the rows of `parts`, built or kept in `folder` (`kept`)."""
    index = kept("ivf", parts, folder, lambda: _build(parts, progress))
    index.nprobe = min(probes, index.nlist)
    return index


def kept(kind: str, parts: Sequence[Floats], folder: Path | None, build: Callable[[], Any]) -> Any:
    """A faiss index over the rows of `parts`, from `folder` if it was built from exactly these, else built anew.

    It is kept under a name that follows from its content; those of other embeddings are removed. It is mapped into
    memory where it comes from a file; `folder` None keeps it in memory.
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
    """The array's bytes, without a copy."""
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
    """(First row, rows side by side [at most 16,384, D])."""
    for start in range(0, len(parts[0]), _ROWS):
        yield start, joined([part[start : start + _ROWS] for part in parts])


def joined(parts: Sequence[Floats]) -> Floats:
    """Parts side by side."""
    return np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))
