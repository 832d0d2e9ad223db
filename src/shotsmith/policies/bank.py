"""The bank as a policy sees it: its embeddings, its keys under the policy's weights, and the search among them.

Axes: N entries of the bank, D embedding width, H hidden, B queries, G sequences, M entries of a shortlist.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

DECIMALS = 5
"""Cosines are rounded to so many decimals, as in training-free similarity search: closer ones are ties."""
_ROWS = 65_536
"""Entries whose keys are computed at a time."""


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


class Encodes(Protocol):
    """The part of a policy that the bank needs."""

    def encode(self, embeddings: torch.Tensor) -> Candidates:
        """The candidates of embeddings [U, D]; differentiable."""
        ...


class BankIndex:
    """Every entry of a bank: embeddings, and its keys under a policy's present weights.

    Keys are computed when they are first needed and again once the weights have changed.
    """

    def __init__(self, embeddings: torch.Tensor) -> None:
        """`embeddings` [N, D] float32, on the device of the policy."""
        self.embeddings = embeddings
        self.rebuilds = 0
        """How often all keys have been computed."""
        self._known: tuple[weakref.ref[nn.Module], int, Candidates] | None = None

    def __len__(self) -> int:
        """N."""
        return len(self.embeddings)

    def candidates(self, policy: nn.Module) -> Candidates:
        """All N entries, encoded by the policy as it is. No gradient."""
        version = _version(policy)
        if self._known is not None:
            known, seen, candidates = self._known
            if known() is policy and seen == version:
                return candidates
        candidates = _encoded(policy, self.embeddings)
        self.rebuilds += 1
        self._known = (weakref.ref(policy), version, candidates)
        return candidates

    def similarity(self, queries: torch.Tensor, embeddings: torch.Tensor | None = None) -> torch.Tensor:
        """Cosines [B, U] of queries [B, D] with some embeddings [U, D] (all of the bank), rounded."""
        return rounded(queries @ (self.embeddings if embeddings is None else embeddings).T)


def rounded(similarities: torch.Tensor) -> torch.Tensor:
    """Similarities to DECIMALS decimals."""
    scale = 10.0**DECIMALS
    return (similarities * scale).round_().div_(scale)


def highest(scores: torch.Tensor, size: int) -> torch.Tensor:
    """Columns [..., size] of the highest scores [..., N], ascending; -1, at the end, where fewer are finite."""
    found = scores.topk(size, dim=-1)
    columns = found.indices.masked_fill(found.values == -torch.inf, scores.shape[-1])
    ordered = columns.sort(dim=-1).values
    return ordered.masked_fill(ordered == scores.shape[-1], -1)


@torch.no_grad()
def _encoded(policy: Encodes | nn.Module, embeddings: torch.Tensor) -> Candidates:
    parts = [policy.encode(block) for block in embeddings.split(_ROWS)]  # type: ignore[operator]
    if len(parts) == 1:
        return parts[0]
    prior = None if parts[0].prior is None else torch.cat([part.prior for part in parts if part.prior is not None])
    return Candidates(
        embeddings, torch.cat([part.encoded for part in parts]), torch.cat([part.keys for part in parts]), prior
    )


def _version(policy: nn.Module) -> int:
    """A number that grows whenever a weight is changed in place, as optimizers and load_state_dict do."""
    return sum(parameter._version for parameter in policy.parameters())
