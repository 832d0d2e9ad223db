"""The frozen embeddings of all queries and pools, gathered for a batch only when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from shotsmith.encoders.embedded import JoinedTable
from shotsmith.errors import InputError
from shotsmith.policies.protocol import Inputs


@dataclass(frozen=True, slots=True)
class InputsTable:
    """Queries, the index of demonstrations, and pools that point into it. The arrays may be memory-mapped."""

    queries: npt.NDArray[np.float32] | JoinedTable
    """[N, D] embeddings of the queries."""
    index: npt.NDArray[np.float32] | JoinedTable
    """[M, D] embeddings of every demonstration a pool can hold."""
    pools: npt.NDArray[np.int64]
    """[N, K] rows of `index`; -1 pads pools smaller than K."""
    device: torch.device = torch.device("cpu")
    """Where the batches are put."""

    def __post_init__(self) -> None:
        """Refuse shapes that do not fit together (InputError)."""
        if self.queries.ndim != 2 or self.index.ndim != 2 or self.queries.shape[1] != self.index.shape[1]:
            raise InputError(f"embeddings of shapes {self.queries.shape} and {self.index.shape} do not fit together")
        if self.pools.ndim != 2 or len(self.pools) != len(self.queries):
            raise InputError(f"pools of shape {self.pools.shape} do not fit {len(self.queries)} queries")
        if self.pools.size and not -1 <= int(self.pools.min()) <= int(self.pools.max()) < len(self.index):
            raise InputError(f"pools point outside an index of {len(self.index)} demonstrations")

    def __len__(self) -> int:
        """Queries."""
        return len(self.queries)

    @property
    def embedding_width(self) -> int:
        """D."""
        return int(self.queries.shape[1])

    def batch(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> Inputs:
        """The inputs of some queries, in the order given."""
        rows = np.asarray(rows, dtype=np.int64)
        pools = self.pools[rows]
        return Inputs(
            queries=self._tensor(self.queries[rows]),
            candidates=self._tensor(self.index[np.maximum(pools, 0)]),
            mask=torch.from_numpy(pools >= 0).to(self.device),
        )

    def _tensor(self, values: npt.NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self.device)
