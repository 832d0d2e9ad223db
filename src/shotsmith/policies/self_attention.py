"""Candidates that see each other before the query reads them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class SelfAttentionEncoder(nn.Module):
    """One pre-norm transformer block: x + attention(norm(x)), then x + feed_forward(norm(x)).

    Both branches start out small whatever the width: an untrained block leaves the candidates nearly as they are.
    (torch's own block takes another path in eval mode, with other last bits; old and new policy must agree exactly.)
    """

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        """`hidden` is H, which `heads` divides; `dropout` is that on attention weights and both branches."""
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(hidden)
        self.read = nn.Linear(hidden, 3 * hidden)
        self.write = nn.Linear(hidden, hidden)
        self.feed_forward_norm = nn.LayerNorm(hidden)
        self.up = nn.Linear(hidden, 2 * hidden)
        self.down = nn.Linear(2 * hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        for branch in (self.write, self.down):
            nn.init.normal_(branch.weight, std=0.1 / hidden)
            nn.init.zeros_(branch.bias)

    def forward(self, candidates: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[B, K, H] and a mask [B, K] of what may be seen -> [B, K, H], finite where the mask is False too."""
        candidates = candidates + self.dropout(self._attention(self.attention_norm(candidates), mask))
        wide = functional.gelu(self.up(self.feed_forward_norm(candidates)))
        changed: torch.Tensor = candidates + self.dropout(self.down(wide))
        return changed

    def _attention(self, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        queries, keys, contents = self.read(values).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        dropout = self.dropout.p if self.training else 0.0
        seen = functional.scaled_dot_product_attention(
            queries, keys, contents, attn_mask=mask[:, None, None, :], dropout_p=dropout
        )
        written: torch.Tensor = self.write(seen.transpose(1, 2).flatten(2))
        return written
