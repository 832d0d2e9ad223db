"""Sampler caches: the anchors `[idx, ...]`, and the candidates `{"<anchor idx>": [64 idx]}`."""

from __future__ import annotations

from pathlib import Path

from shotsmith.data.rows import shown
from shotsmith.errors import DataError
from shotsmith.predecessor.fields import Entry, indices, keyed
from shotsmith.predecessor.records import ImportedQuery


def read_candidates(file: Path, value: object) -> list[ImportedQuery]:
    """The pool of every anchor, in the file's order. Raises DataError naming file, anchor and place."""
    return [
        ImportedQuery(query, pool=indices(Entry(file, query, {}), pool, "candidates", longest=None))
        for query, pool in keyed(file, value, "a cache of candidates")
    ]


def read_anchors(file: Path, value: object) -> list[ImportedQuery]:
    """The queries that were sampled. Raises DataError naming file and place."""
    if not isinstance(value, list):
        raise DataError(f"is not a list of anchors: {shown(value)}", file=file)
    anchors = indices(Entry(file, 0, {}, "anchors"), value, "anchors", longest=None)
    return [ImportedQuery(query) for query in anchors]
