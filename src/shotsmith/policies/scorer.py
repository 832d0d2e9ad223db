"""How well candidates fit what is asked for. States and candidates come with unit length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from shotsmith.recipe import PolicySettings


class Scorer(Protocol):
    """Scores; what depends on a candidate alone is computed once, not at every step."""

    def keys(self, candidates: torch.Tensor) -> torch.Tensor:
        """What the scores need of the candidates [B, K, H]: [B, K, H]."""
        ...

    def __call__(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """[B, G, H] and [B, K, H] -> [B, G, K]."""
        ...


class Cosine(nn.Module):
    """q . c / temperature."""

    def __init__(self, temperature: float) -> None:
        """`temperature` > 0: the lower, the more a difference in cosine counts."""
        super().__init__()
        self.temperature = temperature

    def keys(self, candidates: torch.Tensor) -> torch.Tensor:
        """The candidates."""
        return candidates

    def forward(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """[B, G, H] and [B, K, H] -> [B, G, K]."""
        return queries @ keys.mT / self.temperature


class Bilinear(nn.Module):
    """q^T W c / temperature. W starts as the identity: the cosine."""

    def __init__(self, hidden: int, temperature: float) -> None:
        """`hidden` is H; `temperature` > 0."""
        super().__init__()
        self.weight = nn.Parameter(torch.eye(hidden))
        self.temperature = temperature

    def keys(self, candidates: torch.Tensor) -> torch.Tensor:
        """The candidates; there are more of them than sequences, so W goes to the query."""
        return candidates

    def forward(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """[B, G, H] and [B, K, H] -> [B, G, K]."""
        return queries @ self.weight @ keys.mT / self.temperature


class Additive(nn.Module):
    """v . tanh(W q + U c), without a temperature: v has its own scale (Bahdanau et al., arXiv 1409.0473)."""

    def __init__(self, hidden: int) -> None:
        """`hidden` is H."""
        super().__init__()
        self.of_query = nn.Linear(hidden, hidden)
        self.of_candidate = nn.Linear(hidden, hidden, bias=False)
        self.value = nn.Linear(hidden, 1, bias=False)

    def keys(self, candidates: torch.Tensor) -> torch.Tensor:
        """U c."""
        keys: torch.Tensor = self.of_candidate(candidates)
        return keys

    def forward(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """[B, G, H] and [B, K, H] -> [B, G, K]."""
        inside = torch.tanh(self.of_query(queries)[:, :, None] + keys[:, None])
        return functional.linear(inside, self.value.weight).squeeze(-1)


SCORERS: dict[str, Callable[[PolicySettings], Scorer]] = {
    "cosine": lambda settings: Cosine(settings.temperature),
    "bilinear": lambda settings: Bilinear(settings.hidden_size, settings.temperature),
    "additive": lambda settings: Additive(settings.hidden_size),
}
"""Every scorer by its name in `policy.scorer`."""
