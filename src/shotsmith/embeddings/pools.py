"""Pools of candidates for the queries of a split: the table of samplers, drawing, and the file that keeps them."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from shotsmith.data.barring import barred_rows
from shotsmith.embeddings.cached import read_stamped, write_stamped
from shotsmith.embeddings.embedded import Embedded, Floats
from shotsmith.embeddings.nearest import (
    Nearest,
    Rows,
    buffer,
    image_similarity,
    mixed_similarity,
    most_similar_allowed,
    open_ivf,
    text_similarity,
)
from shotsmith.errors import DataError
from shotsmith.files import digest
from shotsmith.progress import Progress
from shotsmith.recipe import PoolSettings
from shotsmith.records import Example

logger = logging.getLogger(__name__)

EXACT_UP_TO = 50_000
"""The number of train examples up to which `index: auto` compares each query with all of them."""

_CHECKED = 20
"""The number of queries whose approximate pools are compared with exact ones."""

SAMPLERS: Mapping[str, Callable[[Embedded, Embedded], Floats] | None] = {
    "random": None,
    "image_similar": image_similarity,
    "text_similar": text_similarity,
    "mixed": mixed_similarity,
    "mix_sampler": None,
}
"""The similarity [N] of one query (one row) and all examples by which a sampler draws; None for a random sampler."""

_SIDES: Mapping[str, Callable[[Embedded], tuple[Floats, ...]]] = {
    "image_similar": lambda embedded: (embedded.images,),
    "text_similar": lambda embedded: (embedded.questions,),
    "mixed": lambda embedded: (embedded.images, embedded.questions) if embedded.has_images else (embedded.questions,),
}
"""The embeddings whose summed inner products are the similarity of a sampler."""


def seeded_generator(*parts: object) -> np.random.Generator:
    """A random generator seeded by the texts of these parts alone."""
    return np.random.default_rng(int(digest(*(str(part) for part in parts))[:32], 16))


def draw_random(query_id: int, examples: int, barred: Rows, size: int, seed: int) -> Rows:
    """Draw `size` of the rows 0 to `examples` - 1 except the barred ones (ascending), in random order."""
    chosen = seeded_generator("pool", seed, query_id).choice(examples - len(barred), size, replace=False)
    for row in barred:  # the numbers were drawn as if the barred rows were not there
        chosen[chosen >= row] += 1
    return chosen.astype(np.int64)


def draw_pools(
    settings: PoolSettings,
    queries: Sequence[Example],
    index: Sequence[Example],
    query_embeddings: Embedded,
    index_embeddings: Embedded,
    folder: Path | None = None,
    progress: Progress | None = None,
    barred: Sequence[Rows] | None = None,
) -> Rows:
    """Draw a pool for each query: rows of the index, [number of queries, settings.size].

    A pool never holds a row that is `barred` from its query (by default, one of `barred_rows`) and depends on no other
    query. An index that is built for the search is kept in `folder`. Raises DataError where fewer than `size`
    candidates are left, or images are to be compared and there are none.
    """
    if settings.sampler in ("image_similar", "mix_sampler") and not index_embeddings.has_images:
        raise DataError("the data have no images to compare; use text_similar", field="pools.sampler")
    if settings.sampler == "random":
        return draw_random_pools(settings, queries, index, barred)
    barred = _checked(settings, queries, index, barred)
    if not queries or not settings.size:
        return np.empty((len(queries), settings.size), dtype=np.int64)
    if settings.sampler == "mix_sampler":

        def similar(sampler: str, size: int) -> Rows:
            part = settings.model_copy(update={"sampler": sampler, "size": size})
            place = folder / sampler if folder is not None else None
            return draw_pools(part, queries, index, query_embeddings, index_embeddings, place, progress, barred)

        return _mix(settings, queries, len(index), barred, similar)
    kind = settings.index if settings.index != "auto" else "exact" if len(index) <= EXACT_UP_TO else "ivf"
    if kind == "exact":
        return _exact(settings, query_embeddings, index_embeddings, barred, range(len(queries)))
    sides = _SIDES[settings.sampler]
    parts = sides(index_embeddings)
    nearest = Nearest(parts, open_ivf(parts, settings.probes, folder, progress) if kind == "ivf" else None)
    pools = nearest.pools(np.concatenate(sides(query_embeddings), axis=1), barred, settings.size, progress)
    some = np.unique(np.linspace(0, len(queries) - 1, _CHECKED).astype(np.int64))
    found = recall(pools[some], _exact(settings, query_embeddings, index_embeddings, barred, some.tolist()))
    logger.info(
        "pools by %s: recall@%d %.4f against exact search (%d queries); at most %d MiB resident",
        *(kind, settings.size, found, len(some), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024),
    )
    return pools


def draw_random_pools(
    settings: PoolSettings, queries: Sequence[Example], index: Sequence[Example], barred: Sequence[Rows] | None = None
) -> Rows:
    """Draw pools at random, without embeddings; rows and errors are as in `draw_pools`."""
    barred = _checked(settings, queries, index, barred)
    pools = [
        draw_random(query.id, len(index), rows, settings.size, settings.seed)
        for query, rows in zip(queries, barred, strict=True)
    ]
    return np.stack(pools) if pools else np.empty((0, settings.size), dtype=np.int64)


def _mix(
    settings: PoolSettings,
    queries: Sequence[Example],
    examples: int,
    barred: Sequence[Rows],
    similar: Callable[[str, int], Rows],
) -> Rows:
    """Draw pools: half at random, a quarter by the most similar questions, and a quarter by the most similar images.

    No row occurs twice: a row that is similar by text already is replaced by the next one by image, and the random
    half is drawn from the rest. `similar` gives the pools of a sampler and a size.
    """
    quarter = settings.size // 4
    left = min(examples - len(rows) for rows in barred)
    by_text, by_image = similar("text_similar", quarter), similar("image_similar", min(2 * quarter, left))
    pools = np.empty((len(queries), settings.size), dtype=np.int64)
    for row, query in enumerate(queries):
        more = by_image[row][~np.isin(by_image[row], by_text[row])][:quarter]
        chosen = np.concatenate([by_text[row], more])
        taken = np.union1d(barred[row], chosen)
        pools[row] = [*draw_random(query.id, examples, taken, settings.size - len(chosen), settings.seed), *chosen]
    return pools


def _checked(
    settings: PoolSettings, queries: Sequence[Example], index: Sequence[Example], barred: Sequence[Rows] | None
) -> Sequence[Rows]:
    """The rows that may not be shown to each query. Raises DataError where too few are left."""
    if barred is None:
        barred = barred_rows(queries, index)
    for query, rows in zip(queries, barred, strict=True):
        if len(index) - len(rows) < settings.size:
            raise DataError(
                f"only {len(index) - len(rows)} of {len(index)} train examples can be shown; "
                f"the pool needs {settings.size}",
                row=query.id,
                field="pools.size",
            )
    return barred


def recall(pools: Rows, exact: Rows) -> float:
    """The share of the rows of exact pools [n, size] that approximate pools also hold."""
    return float(np.mean([np.isin(right, found).mean() for found, right in zip(pools, exact, strict=True)]))


def _exact(
    settings: PoolSettings, queries: Embedded, index: Embedded, barred: Sequence[Rows], some: Sequence[int]
) -> Rows:
    """Draw the pools of some queries by comparing each query with every example."""
    similarity = SAMPLERS[settings.sampler]
    assert similarity is not None
    pools = np.empty((len(some), settings.size), dtype=np.int64)
    for place, row in enumerate(some):
        values = similarity(queries.rows(np.array([row], dtype=np.int64)), index)
        pools[place] = most_similar_allowed(values, barred[row], settings.size)
    return pools


def load_or_draw(
    file: Path,
    settings: PoolSettings,
    queries: Sequence[Example],
    index: Sequence[Example],
    query_embeddings: Embedded,
    index_embeddings: Embedded,
    progress: Progress | None = None,
    barred: Sequence[Rows] | None = None,
) -> Rows:
    """Read the pools from `file` if they were drawn from the same data and settings, else draw and keep them there."""
    barred = barred_rows(queries, index) if barred is None else barred
    stamp = digest(
        "pools-2",
        settings.model_dump_json(),
        *(f"{part.id} {part.image_id}" for part in queries),
        "index",
        *(f"{part.id} {part.image_id}" for part in index),
        *(rows.tobytes() for rows in barred),
        *(buffer(array) for part in (query_embeddings, index_embeddings) for array in (part.images, part.questions)),
    )
    kept = read_stamped(file, stamp)
    if kept is not None:
        return kept["pools"]
    pools = draw_pools(settings, queries, index, query_embeddings, index_embeddings, file.parent, progress, barred)
    write_stamped(file, {"pools": pools}, stamp)
    return pools
