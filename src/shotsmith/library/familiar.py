"""How similar a new query is to the queries that a selector was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shotsmith.embeddings.embedded import Embedded, Floats

_MOST = 10_000
"""Training queries that are kept."""


@dataclass(frozen=True)
class Familiar:
    """The training queries of a selector, as their encoder sees them."""

    queries: Floats
    """[N, D] joined embeddings, of unit length."""
    below: float
    """A highest cosine below this is unfamiliar."""

    def of(self, embedded: Embedded) -> Floats:
        """The highest cosine of each query with a training query [B], -1 to 1."""
        return _highest(_unit(embedded.joined), self.queries)


def familiar(train: Embedded, val: Embedded, share: float) -> Familiar:
    """Training queries, with a threshold that `share` of the validation queries fall below."""
    queries = _unit(train.joined[:_MOST])
    return Familiar(queries, float(np.quantile(_highest(_unit(val.joined), queries), share)))


def _highest(values: Floats, queries: Floats) -> Floats:
    found: Floats = (values @ queries.T).max(axis=1)
    return found


def _unit(values: Floats) -> Floats:
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    unit: Floats = values / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit.astype(np.float32)
