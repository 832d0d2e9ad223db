"""The query reads its candidates by cross-attention; both are projected into the space where they are compared."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from shotsmith.policies.protocol import Inputs
from shotsmith.recipe import PolicySettings


@dataclass(frozen=True, slots=True)
class Encoded:
    """Queries and candidates as the decoder sees them, shared by all sequences of a query."""

    query: torch.Tensor
    """[B, H], unit length: the state before the first choice."""
    candidates: torch.Tensor
    """[B, K, H], unit length."""
    mask: torch.Tensor
    """[B, K] bool; False where a smaller pool is padded."""


class CrossAttentionEncoder(nn.Module):
    """N layers of attention from the query to its candidates (residual, LayerNorm), dropout, projections.

    The projections start as the identity, so that an untrained policy compares what the embeddings say.
    """

    def __init__(self, settings: PolicySettings, embedding_width: int) -> None:
        """`embedding_width` is D."""
        super().__init__()
        hidden = settings.hidden_size
        self.input_proj = nn.Linear(embedding_width, hidden, bias=False)
        self.cross_attn_layers = nn.ModuleList(
            nn.MultiheadAttention(hidden, settings.heads, dropout=settings.attention_dropout, batch_first=True)
            for _ in range(settings.layers)
        )
        self.attn_norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(settings.layers))
        self.dropout = nn.Dropout(settings.dropout)
        self.query_feed_forward = FeedForward(hidden) if settings.feed_forward else nn.Identity()
        self.cand_feed_forward = FeedForward(hidden) if settings.feed_forward else nn.Identity()
        self.query_proj = nn.Linear(hidden, hidden, bias=False)
        self.cand_proj = nn.Linear(hidden, hidden, bias=False)
        nn.init.eye_(self.query_proj.weight)
        nn.init.eye_(self.cand_proj.weight)

    def forward(self, inputs: Inputs) -> Encoded:
        """Encode B queries and their candidates once."""
        candidates = self.input_proj(inputs.candidates)
        query = self.input_proj(inputs.queries).unsqueeze(1)
        for attention, norm in zip(self.cross_attn_layers, self.attn_norms, strict=True):
            seen, _ = attention(query, candidates, candidates, key_padding_mask=~inputs.mask, need_weights=False)
            query = norm(query + seen)
        query = self.query_feed_forward(self.dropout(query.squeeze(1)))
        candidates = self.cand_feed_forward(candidates)
        return Encoded(
            query=functional.normalize(self.query_proj(query), dim=-1),
            candidates=functional.normalize(self.cand_proj(candidates), dim=-1),
            mask=inputs.mask,
        )


class FeedForward(nn.Module):
    """A residual two-layer perceptron; it lets one property of a query decide how another counts."""

    def __init__(self, hidden: int, expansion: int = 2) -> None:
        """`hidden` is H."""
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.up = nn.Linear(hidden, expansion * hidden)
        self.down = nn.Linear(expansion * hidden, hidden)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[..., H] -> [..., H]."""
        change: torch.Tensor = self.down(functional.gelu(self.up(self.norm(values))))
        return values + change
