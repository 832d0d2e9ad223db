"""Attention of a single query over many candidates, without projecting the candidates."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional


class SingleQueryAttention(nn.Module):
    """nn.MultiheadAttention for one query per row, with the same parameters, by name, shape and initial value.

    One query needs no projected keys and values: the key projection is absorbed into the query, as q . (W c) is
    (W^T q) . c, and the value projection is applied to the one vector that was read. That leaves two dot products a
    candidate and head where there were two matrix products.
    """

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        """`heads` divides `hidden` (H); `dropout` acts on the attention weights in train mode."""
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * hidden, hidden))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * hidden))
        self.out_proj = nn.Linear(hidden, hidden)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self, query: torch.Tensor, seen: torch.Tensor, mask: torch.Tensor, through: torch.Tensor | None = None
    ) -> torch.Tensor:
        """What each query [B, H] reads in `seen` [B, K, M] where `mask` [B, K] is True: [B, H].

        `through` [H, M] is a linear map that `seen` passes first (None: the identity, M = H); it is absorbed likewise.
        """
        of_query, of_key, of_value = self.in_proj_weight.chunk(3)
        # The key bias adds the same to all logits of a query: the softmax does not see it.
        query_bias, _, value_bias = self.in_proj_bias.chunk(3)
        asked = functional.linear(query, of_query, query_bias).unflatten(-1, (self.heads, -1))
        asked = torch.einsum("bnd,ndh->bnh", asked / math.sqrt(asked.shape[-1]), self._by_head(of_key))
        if through is not None:
            asked = asked @ through
        logits = (asked @ seen.mT).masked_fill(~mask[:, None], torch.finfo(seen.dtype).min)
        weights = functional.dropout(logits.softmax(-1), self.dropout, self.training)
        read = weights @ seen
        if through is not None:
            read = read @ through.T
        values = torch.einsum("bnh,ndh->bnd", read, self._by_head(of_value))
        # Dropped weights do not sum to 1, and every value carries the bias.
        values = values + weights.sum(-1, keepdim=True) * value_bias.unflatten(0, (self.heads, -1))
        heard: torch.Tensor = self.out_proj(values.flatten(1))
        return heard

    def _by_head(self, weight: torch.Tensor) -> torch.Tensor:
        split: torch.Tensor = weight.unflatten(0, (self.heads, -1))
        return split
