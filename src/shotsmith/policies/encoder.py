"""The query reads its candidates by cross-attention; both are projected into the space where they are compared."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from shotsmith.policies.attention import SingleQueryAttention
from shotsmith.policies.parts import Encoded
from shotsmith.policies.protocol import Inputs
from shotsmith.policies.self_attention import SelfAttentionEncoder
from shotsmith.policies.unit_length import unit_length
from shotsmith.recipe import PolicySettings


class CrossAttentionEncoder(nn.Module):
    """N layers of attention from the query to its candidates (residual, LayerNorm), dropout, projections.

    Without layers it is a bi-encoder. Projections that start as the identity let an untrained policy compare what the
    embeddings say.
    """

    def __init__(self, settings: PolicySettings, embedding_width: int) -> None:
        """`embedding_width` is D."""
        super().__init__()
        hidden = settings.hidden_size
        self.input_proj = nn.Linear(embedding_width, hidden, bias=False)
        self.candidate_encoder = (
            SelfAttentionEncoder(hidden, settings.heads, settings.attention_dropout)
            if settings.candidate_encoder == "self_attention"
            else None
        )
        self.cross_attn_layers = nn.ModuleList(
            SingleQueryAttention(hidden, settings.heads, settings.attention_dropout) for _ in range(settings.layers)
        )
        self.attn_norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(settings.layers))
        self.dropout = nn.Dropout(settings.dropout)
        self.query_feed_forward = FeedForward(hidden) if settings.feed_forward else None
        self.cand_feed_forward = FeedForward(hidden) if settings.feed_forward else None
        self.query_proj = nn.Linear(hidden, hidden, bias=False)
        self.cand_proj = nn.Linear(hidden, hidden, bias=False)
        if settings.projections == "identity":
            nn.init.eye_(self.query_proj.weight)
            nn.init.eye_(self.cand_proj.weight)

    def forward(self, inputs: Inputs) -> Encoded:
        """Encode B queries and their candidates once."""
        seen = inputs.candidates
        through: torch.Tensor | None = self.input_proj.weight
        if self.candidate_encoder is not None:
            seen, through = self.candidate_encoder(self.input_proj(seen), inputs.mask), None
        return Encoded(
            query=self._query(inputs.queries, seen, inputs.mask, through),
            candidates=unit_length(self._candidates(seen, through)),
            mask=inputs.mask,
        )

    def queries(self, queries: torch.Tensor, seen: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Queries [B, D] alone, encoded: [B, H]. They read `seen` [B, K, D] where there are layers."""
        return self._query(queries, seen, mask, self.input_proj.weight)

    def alone(self, candidates: torch.Tensor) -> torch.Tensor:
        """Candidates [U, D] that do not see each other, encoded: [U, H], unit length."""
        return unit_length(self._candidates(candidates, self.input_proj.weight))

    def _query(
        self, queries: torch.Tensor, seen: torch.Tensor, mask: torch.Tensor, through: torch.Tensor | None
    ) -> torch.Tensor:
        query: torch.Tensor = self.input_proj(queries)
        for attention, norm in zip(self.cross_attn_layers, self.attn_norms, strict=True):
            query = norm(query + attention(query, seen, mask, through))
        query = self.dropout(query)
        if self.query_feed_forward is not None:
            query = self.query_feed_forward(query)
        return unit_length(self.query_proj(query))

    def _candidates(self, seen: torch.Tensor, through: torch.Tensor | None) -> torch.Tensor:
        """Candidates [..., K, H] before they are normalised."""
        weight = self.cand_proj.weight
        if through is not None and self.cand_feed_forward is None and seen.shape[:-1].numel() > seen.shape[-1]:
            # Nothing lies between the two projections, and multiplying them is cheaper than applying both.
            return functional.linear(seen, weight @ through)
        candidates = seen if through is None else functional.linear(seen, through)
        if self.cand_feed_forward is not None:
            candidates = self.cand_feed_forward(candidates)
        return functional.linear(candidates, weight)


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
