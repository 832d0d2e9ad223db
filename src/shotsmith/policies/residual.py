"""The encoder of a policy that starts as similarity: embeddings as they are, and what training adds to them.

query state = P x + f(x) and key = P x + g(x), where P projects embeddings of width D to width H and never changes, and
f and g are feed-forward networks whose last layer starts at zero. P is the identity where H >= D (padded with zeros);
elsewhere its rows are random and orthonormal. Axes: B queries, K or U candidates, D embedding width, H hidden.
"""

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


class ResidualEncoder(nn.Module):
    """Queries and candidates in one space, where untrained inner products are those of their projections.

    Layers of attention from the query to its candidates, and candidates that see each other, are further additions
    that start at zero.
    """

    projection: torch.Tensor

    def __init__(self, settings: PolicySettings, embedding_width: int) -> None:
        """`embedding_width` is D."""
        super().__init__()
        hidden = settings.hidden_size
        self.register_buffer("projection", _projection(hidden, embedding_width))
        self.of_query = Addition(embedding_width, hidden) if settings.feed_forward else None
        self.of_candidate = Addition(embedding_width, hidden) if settings.feed_forward else None
        self.attention_layers = nn.ModuleList(
            SingleQueryAttention(hidden, settings.heads, settings.attention_dropout) for _ in range(settings.layers)
        )
        for name, parameter in self.attention_layers.named_parameters():
            if name.endswith("out_proj.weight"):
                nn.init.zeros_(parameter)
        self.dropout = nn.Dropout(settings.dropout)
        self.candidate_encoder: SelfAttentionEncoder | None = None
        self.candidate_weight: nn.Parameter | None = None
        if settings.candidate_encoder == "self_attention":
            self.candidate_encoder = SelfAttentionEncoder(hidden, settings.heads, settings.attention_dropout)
            self.candidate_weight = nn.Parameter(torch.zeros(()))

    def forward(self, inputs: Inputs) -> Encoded:
        """Encode B queries and their candidates once."""
        candidates = self.alone(inputs.candidates)
        if self.candidate_encoder is not None and self.candidate_weight is not None:
            together = self.candidate_encoder(candidates, inputs.mask)
            candidates = candidates + self.candidate_weight * (together - candidates)
        query = self.queries(inputs.queries, inputs.candidates, inputs.mask)
        return Encoded(query, unit_length(candidates), inputs.mask, candidates)

    def queries(self, queries: torch.Tensor, seen: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Queries [B, D] as states [B, H]. They read `seen` [B, K, D] where there are layers."""
        state = self._projected(queries)
        if self.of_query is not None:
            state = state + self.dropout(self.of_query(queries))
        for layer in self.attention_layers:
            state = state + layer(state, seen, mask, self.projection)
        return state

    def alone(self, candidates: torch.Tensor) -> torch.Tensor:
        """Candidates [..., D] that do not see each other, as keys [..., H]."""
        key = self._projected(candidates)
        return key if self.of_candidate is None else key + self.of_candidate(candidates)

    def left_out(self, queries: torch.Tensor) -> torch.Tensor:
        """The part of queries [B, D] that the projection loses, [B, D]: x - P^T P x; zero where H >= D."""
        return queries - self._projected(queries) @ self.projection

    def _projected(self, embeddings: torch.Tensor) -> torch.Tensor:
        """P x, [..., D] -> [..., H]."""
        hidden, width = self.projection.shape
        return embeddings if hidden == width else functional.linear(embeddings, self.projection)


class Addition(nn.Module):
    """W2 gelu(W1 norm(x)), with W2 at zero at the start."""

    def __init__(self, embedding_width: int, hidden: int) -> None:
        """`embedding_width` is D, `hidden` H."""
        super().__init__()
        self.norm = nn.LayerNorm(embedding_width)
        self.up = nn.Linear(embedding_width, hidden)
        self.down = nn.Linear(hidden, hidden)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """[..., D] -> [..., H]."""
        added: torch.Tensor = self.down(functional.gelu(self.up(self.norm(embeddings))))
        return added


class Prior(nn.Module):
    """The score of a candidate alone: a two-layer perceptron over its embedding that starts at zero."""

    def __init__(self, embedding_width: int, hidden: int) -> None:
        """`embedding_width` is D, `hidden` H."""
        super().__init__()
        self.norm = nn.LayerNorm(embedding_width)
        self.up = nn.Linear(embedding_width, hidden)
        self.down = nn.Linear(hidden, 1)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """[..., D] -> [...]."""
        scores: torch.Tensor = self.down(functional.gelu(self.up(self.norm(embeddings)))).squeeze(-1)
        return scores


def _projection(hidden: int, embedding_width: int) -> torch.Tensor:
    if hidden >= embedding_width:
        return torch.eye(hidden, embedding_width)
    orthonormal: torch.Tensor = torch.linalg.qr(torch.randn(embedding_width, hidden)).Q
    return orthonormal.T.contiguous()
