"""How well candidates fit a state."""

from __future__ import annotations

import torch
from torch import nn


class Cosine(nn.Module):
    """Cosine divided by a temperature; states and candidates come with unit length, so it is a dot product."""

    def __init__(self, temperature: float) -> None:
        """`temperature` > 0: the lower, the more a difference in cosine counts."""
        super().__init__()
        self.temperature = temperature

    def forward(self, states: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        """[B, G, ..., H] and [B, K, H] -> [B, G, ..., K]."""
        return torch.einsum("b...h,bkh->b...k", states, candidates) / self.temperature
