"""Entries of a bank, encoded; and what a bank needs of the policy that encodes them.

Axes: U entries, W of them, B queries, D embedding width, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from shotsmith.policies.parts import Network
from shotsmith.recipe import PolicySettings


@dataclass(frozen=True, slots=True)
class Candidates:
    """Some entries of the bank, encoded by a policy. U of them: all, or those that recorded shortlists name."""

    embeddings: torch.Tensor
    """[U, D]."""
    encoded: torch.Tensor
    """[U, H], unit length: what the policy's memory and gains see of them."""
    keys: torch.Tensor
    """[U, H]: what the scorer needs of them."""
    prior: torch.Tensor | None
    """[U]: the score of each alone, where the policy has one."""

    def at(self, rows: torch.Tensor) -> Candidates:
        """Some of them [W], in the order given."""
        prior = None if self.prior is None else self.prior[rows]
        return Candidates(self.embeddings[rows], self.encoded[rows], self.keys[rows], prior)

    def __add__(self, others: Candidates) -> Candidates:
        """Both lists, one after the other."""
        prior = None if self.prior is None or others.prior is None else torch.cat([self.prior, others.prior])
        return Candidates(
            torch.cat([self.embeddings, others.embeddings]),
            torch.cat([self.encoded, others.encoded]),
            torch.cat([self.keys, others.keys]),
            prior,
        )


class Search(Protocol):
    """Finds the entries of a bank whose keys have high inner products with a vector."""

    @property
    def probes(self) -> int:
        """How widely the first search for a query looks."""
        ...

    def rows(self, queries: torch.Tensor, wanted: int, probes: int) -> torch.Tensor:
        """Rows [n, wanted] of the bank with high inner products with the queries [n, width], best first.

        -1 where there are fewer. Fewer columns where the bank has fewer entries.
        """
        ...


class Retriever(Network, Protocol):
    """What a bank needs of a policy."""

    @property
    def settings(self) -> PolicySettings:
        """How it was put together."""
        ...

    def encode(self, embeddings: torch.Tensor) -> Candidates:
        """The candidates of embeddings [U, D]; differentiable."""
        ...

    def left_out(self, queries: torch.Tensor) -> torch.Tensor | None:
        """[B, D]: what is missing of embedded queries [B, D] when keys are compared; None where nothing is.

        Its inner products with embedded candidates, and the scorer's with their keys, make up the cosines.
        """
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """The weights."""
        ...
