"""The frozen embeddings of all queries and what they may be shown, gathered for a batch only when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from shotsmith.embeddings.embedded import JoinedTable
from shotsmith.errors import InputError
from shotsmith.policies.bank import BankIndex
from shotsmith.policies.protocol import BankInputs, Inputs


@dataclass(frozen=True)
class InputsTable:
    """Queries, the bank of demonstrations, and pools that point into it. The arrays may be memory-mapped."""

    queries: npt.NDArray[np.float32] | JoinedTable
    """[N, D] embeddings of the queries."""
    index: npt.NDArray[np.float32] | JoinedTable
    """[M, D] embeddings of every demonstration there is."""
    pools: npt.NDArray[np.int64] | None
    """[N, K] rows of `index`; -1 pads pools smaller than K. None: each query chooses from the whole bank."""
    device: torch.device = torch.device("cpu")
    """Where the batches are put."""
    barred: Sequence[npt.NDArray[np.int64]] = ()
    """For each query the rows of `index` that it must not be shown, where there are no pools."""

    def __post_init__(self) -> None:
        """Refuse shapes that do not fit together (InputError)."""
        if self.queries.ndim != 2 or self.index.ndim != 2 or self.queries.shape[1] != self.index.shape[1]:
            raise InputError(f"embeddings of shapes {self.queries.shape} and {self.index.shape} do not fit together")
        if self.pools is None:
            if len(self.barred) not in (0, len(self.queries)):
                raise InputError(f"{len(self.barred)} lists of barred rows do not fit {len(self.queries)} queries")
            return
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

    @cached_property
    def bank(self) -> BankIndex:
        """The whole bank, on the device."""
        return BankIndex(self._tensor(self.index[np.arange(len(self.index))]))

    def refresh(self) -> None:
        """Have an approximate index of the bank built anew before it is searched again (BankIndex.refresh)."""
        if self.pools is None:
            self.bank.refresh()

    def batch(
        self, rows: Sequence[int] | npt.NDArray[np.int64], shortlists: torch.Tensor | None = None
    ) -> Inputs | BankInputs:
        """The inputs of some queries, in the order given; over a bank, with the shortlists recorded for them if any."""
        rows = np.asarray(rows, dtype=np.int64)
        if self.pools is None:
            there = None if shortlists is None else shortlists.to(self.device, torch.int64)
            return BankInputs(self._tensor(self.queries[rows]), self.bank, self._barred(rows), there)
        pools = self.pools[rows]
        return Inputs(
            queries=self._tensor(self.queries[rows]),
            candidates=self._tensor(self.index[np.maximum(pools, 0)]),
            mask=torch.from_numpy(pools >= 0).to(self.device),
        )

    def _barred(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        listed = [self.barred[row] for row in rows] if len(self.barred) else [np.empty(0, dtype=np.int64)] * len(rows)
        padded = np.full((len(rows), max(map(len, listed), default=0)), -1, dtype=np.int64)
        for place, some in enumerate(listed):
            padded[place, : len(some)] = some
        return torch.from_numpy(padded).to(self.device)

    def _tensor(self, values: npt.NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self.device)
