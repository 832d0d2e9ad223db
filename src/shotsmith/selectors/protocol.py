"""The selector protocol and the batch of tasks it works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shotsmith.encoders.embedded import Embedded, Floats
from shotsmith.metrics.measure import VQA, Measure
from shotsmith.records import Completion, Example, Failure, Request, Sequence

__all__ = ["Ask", "Embedded", "Floats", "Selector", "Tasks"]

Ask = Callable[[list[Request], str], list[Completion | Failure]]
"""Has requests answered, in order, on behalf of a stage (completions.collect.Collector.ask)."""


@dataclass(frozen=True, slots=True)
class Tasks:
    """Queries with their pools. `pools[i][p]` is the row, in `index`, of candidate p of query i."""

    queries: tuple[Example, ...]
    index: tuple[Example, ...]
    pools: npt.NDArray[np.int64]
    """[number of queries, pool size]."""
    query_embeddings: Embedded
    index_embeddings: Embedded
    measure: Measure = VQA
    """What answers are measured by."""

    def demonstrations(self, query: int, sequence: Sequence) -> tuple[Example, ...]:
        """The examples a sequence of this query points at, in order."""
        return tuple(self.index[self.pools[query, position]] for position in sequence)


class Selector(Protocol):
    """Chooses one sequence per query."""

    @property
    def name(self) -> str:
        """Its name in tables and files."""
        ...

    def select(self, tasks: Tasks, shots: int) -> list[Sequence]:
        """One sequence of at most `shots` positions for each query, in order. Sees no query's answers."""
        ...
