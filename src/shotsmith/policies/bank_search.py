"""Approximate search for the entries of a bank with the highest inner products (faiss).

An entry's key is made of parts that stand side by side, never joined in memory as a whole; a query is one vector of
the same width. Axes: N entries, n queries, W rows wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from shotsmith.embeddings.embedded import Floats
from shotsmith.embeddings.nearest import TRAINED_ON, blocks, joined, kept
from shotsmith.policies.candidates import Candidates, Retriever
from shotsmith.recipe.policy import IndexSettings

EXACT_UP_TO = 100_000
"""Entries up to which `auto` searches exactly."""
_WIDE, _BLOCK = 256, 4
"""Keys of so many dimensions have a code of four bits for each block of so many; narrower ones 8 bits a dimension."""
_MULTIPLE = 32
"""Keys are padded with zeros to a multiple of so many dimensions: faiss then compares many at a time."""
_NEIGHBOURS = 32
"""Links of an entry in the graph of an hnsw index."""
_VISITED = 16
"""Entries visited for each of `probes` in an hnsw index."""

Kind = Literal["exact", "ivf", "hnsw"]


def kind_of(settings: IndexSettings, entries: int) -> Kind:
    """The kind of index for a bank of so many entries."""
    if settings.kind == "auto":
        return "exact" if entries <= EXACT_UP_TO else "ivf"
    return settings.kind


class BankSearch:
    """A faiss index over the keys of a bank. Rows keep their numbers when entries are added or removed."""

    def __init__(self, parts: Sequence[Floats], settings: IndexSettings, folder: Path | None = None) -> None:
        """`parts` are [N, D1], [N, D2] ... side by side.

        `folder` keeps an `ivf` index in a file that is mapped into memory, and finds it there again. Entries cannot
        be added to such an index.
        """
        self.probes = settings.probes
        self.size = len(parts[0])
        self._kind = kind_of(settings, self.size)
        self._removed: Any = None
        if self._kind == "hnsw":
            self._index = _graph(parts)
        else:
            self._index = kept("bank", parts, folder, lambda: _lists(parts))

    def rows(self, queries: torch.Tensor, wanted: int, probes: int) -> torch.Tensor:
        """Rows [n, W] with high inner products with the queries [n, width], best first; -1 where there are fewer."""
        vectors, wanted = _padded(queries.cpu().numpy()), min(wanted, self.size)
        _, rows = self._index.search(vectors, wanted, params=self._parameters(wanted, probes))
        if self._kind == "ivf" and (rows < 0).any():  # the lists that were searched hold too few
            some = np.flatnonzero((rows < 0).any(1))
            _, rows[some] = self._index.search(vectors[some], wanted, params=self._parameters(wanted, self.size))
        return torch.from_numpy(rows).to(queries.device)

    def add(self, parts: Sequence[Floats]) -> None:
        """Add entries with these keys behind the others."""
        self._index.add(_padded(joined(parts)))
        self.size += len(parts[0])

    def remove(self, rows: torch.Tensor) -> None:
        """Never find these rows again; the list replaces that of earlier calls."""
        faiss = _faiss()
        self._removed = faiss.IDSelectorNot(faiss.IDSelectorBatch(rows.cpu().numpy()))

    def _parameters(self, wanted: int, probes: int) -> Any:
        faiss = _faiss()
        others = {} if self._removed is None else {"sel": self._removed}
        if self._kind == "hnsw":
            return faiss.SearchParametersHNSW(efSearch=max(wanted, _VISITED * probes), **others)
        return faiss.SearchParametersIVF(nprobe=min(probes, self._index.nlist), **others)


def keys_of(policy: Retriever, candidates: Candidates) -> list[Floats]:
    """The keys of N candidates, in parts: their inner products with `vectors_of` are scores times the temperature.

    They hold the embedding where the scorer's inner products lack some of the cosine. Of scorers that are no inner
    product, the cosine takes the place.
    """
    found = [candidates.embeddings]
    if policy.scorer.vectors(candidates.encoded[:1]) is not None:
        lacking = policy.left_out(candidates.embeddings[:1]) is not None
        found = [candidates.keys, candidates.embeddings] if lacking else [candidates.keys]
    if candidates.prior is not None:
        found.append(candidates.prior[:, None])
    return [part.detach().cpu().numpy() for part in found]


def vectors_of(policy: Retriever, queries: torch.Tensor, vectors: torch.Tensor | None, *, prior: bool) -> torch.Tensor:
    """What is searched for [B, G, width], for embedded queries [B, D] and the scorer's vectors [B, G, H].

    `prior` says whether candidates have one.
    """
    if vectors is None:
        found = [queries[:, None]]
    else:
        lacking = policy.left_out(queries)
        found = [vectors] if lacking is None else [vectors, lacking[:, None].expand(-1, vectors.shape[1], -1)]
    if prior:
        found.append(torch.ones_like(found[0][..., :1]))
    return torch.cat(found, dim=-1)


def _faiss() -> Any:
    """The module, whose types do not say all that it has."""
    import faiss

    return faiss


def _lists(parts: Sequence[Floats]) -> Any:
    """About sqrt(N) lists around as many centres. Their entries are 8-bit integers, or codes of one bit a dimension:
    product quantization (Jegou et al. 2011), compared in registers (Andre et al. 2015, "Cache locality is not enough").
    """
    faiss = _faiss()
    count, width = len(parts[0]), _width(parts)
    lists, centres, metric = max(1, round(count**0.5)), faiss.IndexFlatIP(width), faiss.METRIC_INNER_PRODUCT
    if width < _WIDE:
        index = faiss.IndexIVFScalarQuantizer(centres, width, lists, faiss.ScalarQuantizer.QT_8bit, metric)
    else:
        index = faiss.IndexIVFPQFastScan(centres, width, lists, width // _BLOCK, 4, metric)
    index.own_fields, index.cp.min_points_per_centroid, index.cp.niter = False, 1, 8
    sample = np.sort(np.random.default_rng(0).choice(count, min(count, lists * TRAINED_ON), replace=False))
    index.train(_padded(joined([part[sample] for part in parts])))
    for _, vectors in blocks(parts):
        index.add(_padded(vectors))
    return index


def _graph(parts: Sequence[Floats]) -> Any:
    faiss = _faiss()
    index = faiss.IndexHNSWSQ(_width(parts), faiss.ScalarQuantizer.QT_8bit, _NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
    for start, vectors in blocks(parts):
        if not start:
            index.train(_padded(joined([part[:: 1 + len(part) // len(vectors)] for part in parts])))
        index.add(_padded(vectors))
    return index


def _width(parts: Sequence[Floats]) -> int:
    width: int = sum(part.shape[1] for part in parts)
    return width + -width % _MULTIPLE


def _padded(rows: Floats) -> Floats:
    """[N, D] with columns of zeros, which change no inner product."""
    return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, -rows.shape[1] % _MULTIPLE))), dtype=np.float32)
