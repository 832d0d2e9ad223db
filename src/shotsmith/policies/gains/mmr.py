"""Maximal marginal relevance: what resembles a demonstration already chosen scores less.

Carbonell and Goldstein, "The use of MMR, diversity-based reranking", SIGIR 1998; here its weight is learned.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from shotsmith.policies.parts import Encoded, State, rows_at
from shotsmith.recipe import PolicySettings

_NOTHING_CHOSEN = -2.0  # below every cosine: the first choice replaces it


class Mmr(nn.Module):
    """gain(c) = -softplus(weight) * max over chosen s of cos(c, s); 0 before the first choice."""

    def __init__(self, _settings: PolicySettings) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def start(self, encoded: Encoded) -> State:
        """`mmr.similarity` [B, 1, K]: each candidate's largest cosine to what has been chosen."""
        return {"mmr.similarity": torch.full_like(encoded.candidates[:, None, :, 0], _NOTHING_CHOSEN)}

    def gain(self, _encoded: Encoded, state: State) -> torch.Tensor:
        """[B, G, K], between -softplus(weight) and softplus(weight)."""
        similarity = state["mmr.similarity"]
        return -functional.softplus(self.weight) * similarity.masked_fill(similarity == _NOTHING_CHOSEN, 0.0)

    def advance(self, encoded: Encoded, state: State, choice: torch.Tensor) -> State:
        """The state after the choice of positions [B, G]."""
        similarity = rows_at(encoded.candidates, choice) @ encoded.candidates.mT
        return {"mmr.similarity": torch.maximum(state["mmr.similarity"], similarity)}
