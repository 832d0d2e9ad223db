"""Where in the pool a policy points: how similar to the query the demonstrations are that it chooses."""

from __future__ import annotations

from collections.abc import Sequence as Many

import numpy as np
import numpy.typing as npt

from shotsmith.records import Sequence
from shotsmith.reports.data import Pointing
from shotsmith.selectors.protocol import Tasks


def pointing(tasks: Tasks, sequences: Many[Sequence]) -> tuple[Pointing, Pointing]:
    """Ranks of the chosen candidates among their pool, by image and by text similarity (cosine).

    `sequences` holds one sequence of pool positions per query of `tasks`.
    """
    query, index = tasks.query_embeddings, tasks.index_embeddings
    return (
        Pointing("image_similarity", _counts(query.images, index.images, tasks.pools, sequences)),
        Pointing("text_similarity", _counts(query.questions, index.questions, tasks.pools, sequences)),
    )


def _counts(
    queries: npt.NDArray[np.float32],
    index: npt.NDArray[np.float32],
    pools: npt.NDArray[np.int64],
    sequences: Many[Sequence],
) -> tuple[int, ...]:
    counts = np.zeros(pools.shape[1], dtype=np.int64)
    for vector, pool, sequence in zip(queries, pools, sequences, strict=True):
        order = np.argsort(-(index[pool] @ vector), kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        np.add.at(counts, rank[list(sequence)], 1)
    return tuple(int(count) for count in counts)
