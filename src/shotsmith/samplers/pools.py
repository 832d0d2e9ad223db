"""The pools of a split's queries: one table of samplers, drawn query by query, kept in a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from shotsmith.encoders.embedded import Embedded
from shotsmith.encoders.stamped import read_stamped, write_stamped
from shotsmith.errors import DataError
from shotsmith.files import digest
from shotsmith.recipe import PoolSettings
from shotsmith.records import Example
from shotsmith.samplers.mixed import draw_mixed
from shotsmith.samplers.random import Rows, draw_random
from shotsmith.samplers.similar import draw_image_similar, draw_text_similar

Sampler = Callable[[int, Embedded, Embedded, Rows, int, int], Rows]
"""(query id, the query's embeddings as one row, index embeddings, allowed rows, size, seed) -> `size` allowed rows."""

SAMPLERS: Mapping[str, Sampler] = {
    "random": draw_random,
    "image_similar": draw_image_similar,
    "text_similar": draw_text_similar,
    "mixed": draw_mixed,
}


def draw_pools(
    settings: PoolSettings,
    queries: Sequence[Example],
    index: Sequence[Example],
    query_embeddings: Embedded,
    index_embeddings: Embedded,
) -> Rows:
    """A pool for each query: rows of the index, [number of queries, settings.size].

    A pool never holds an example with the query's id or image, and depends on no other query.
    Raises DataError where fewer than `size` candidates are left, or images are to be compared and there are none.
    """
    if settings.sampler == "image_similar" and not index_embeddings.has_images:
        raise DataError("the data have no images to compare; use text_similar", field="pools.sampler")
    sampler = SAMPLERS[settings.sampler]
    same = _rows_by_identity(index)
    everything = np.arange(len(index), dtype=np.int64)
    pools = np.empty((len(queries), settings.size), dtype=np.int64)
    for row, query in enumerate(queries):
        own = sorted({*same["id", query.id], *same["image", query.image_id]})
        allowed = np.delete(everything, own)
        if len(allowed) < settings.size:
            raise DataError(
                f"only {len(allowed)} of {len(index)} train examples can be shown; the pool needs {settings.size}",
                row=query.id,
                field="pools.size",
            )
        embedding = query_embeddings.rows(np.array([row], dtype=np.int64))
        pools[row] = sampler(query.id, embedding, index_embeddings, allowed, settings.size, settings.seed)
    return pools


def load_or_draw(
    file: Path,
    settings: PoolSettings,
    queries: Sequence[Example],
    index: Sequence[Example],
    query_embeddings: Embedded,
    index_embeddings: Embedded,
) -> Rows:
    """The pools in `file` if they were drawn from exactly this; else `draw_pools`, kept there."""
    stamp = digest(
        "pools-1",
        settings.model_dump_json(),
        *(f"{part.id} {part.image_id}" for part in queries),
        "index",
        *(f"{part.id} {part.image_id}" for part in index),
        *(array.tobytes() for part in (query_embeddings, index_embeddings) for array in (part.images, part.questions)),
    )
    kept = read_stamped(file, stamp)
    if kept is not None:
        return kept["pools"]
    pools = draw_pools(settings, queries, index, query_embeddings, index_embeddings)
    write_stamped(file, {"pools": pools}, stamp)
    return pools


def _rows_by_identity(index: Sequence[Example]) -> defaultdict[tuple[str, int], list[int]]:
    rows: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for row, example in enumerate(index):
        rows["id", example.id].append(row)
        rows["image", example.image_id].append(row)
    return rows
