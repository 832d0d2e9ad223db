"""How well candidates fit what is asked for. States and candidates come with unit length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from shotsmith.recipe import PolicySettings


class Scorer(Protocol):
    """Scores of candidates; what depends on a candidate alone is computed once, not at every step."""

    def keys(self, candidates: torch.Tensor) -> torch.Tensor:
        """What the scores need of the candidates [..., H]: [..., H]."""
        ...

    def vectors(self, queries: torch.Tensor) -> torch.Tensor | None:
        """[..., H] whose inner products with the keys are the scores; None where scores are no inner products.

        Scores that are inner products can be searched for in a whole bank.
        """
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

    def vectors(self, queries: torch.Tensor) -> torch.Tensor:
        """The queries over the temperature."""
        return queries if self.temperature == 1 else queries / self.temperature

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

    def vectors(self, queries: torch.Tensor) -> torch.Tensor:
        """q^T W / temperature."""
        return queries @ self.weight / self.temperature

    def forward(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """[B, G, H] and [B, K, H] -> [B, G, K]."""
        return queries @ self.weight @ keys.mT / self.temperature


class Additive(nn.Module):
    """v . tanh(W q + U c), without a temperature: v has its own scale (Bahdanau et al., arXiv 1409.0473).

    In a policy that starts as similarity q . c comes on top, and v starts at zero.
    """

    def __init__(self, hidden: int, *, beside_product: bool = False) -> None:
        """`hidden` is H; `beside_product` adds q . c."""
        super().__init__()
        self.beside_product = beside_product
        self.of_query = nn.Linear(hidden, hidden)
        self.of_candidate = nn.Linear(hidden, hidden, bias=False)
        self.value = nn.Linear(hidden, 1, bias=False)
        if beside_product:
            nn.init.zeros_(self.value.weight)

    def keys(self, candidates: torch.Tensor) -> torch.Tensor:
        """U c; with c behind it where the product is added."""
        keys: torch.Tensor = self.of_candidate(candidates)
        return torch.cat([keys, candidates], dim=-1) if self.beside_product else keys

    def vectors(self, queries: torch.Tensor) -> None:
        """None: the scores are no inner products."""

    def forward(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """[B, G, H] and [B, K, H or 2H] -> [B, G, K]."""
        learned, candidates = keys.split(queries.shape[-1], dim=-1) if self.beside_product else (keys, None)
        inside = torch.tanh(self.of_query(queries)[:, :, None] + learned[:, None])
        scores = functional.linear(inside, self.value.weight).squeeze(-1)
        return scores if candidates is None else scores + queries @ candidates.mT


def build_scorer(settings: PolicySettings) -> Scorer:
    """The scorer of a policy. One that starts as similarity leaves the temperature to the whole score."""
    similar = settings.start == "similarity"
    return SCORERS[settings.scorer](settings.hidden_size, 1.0 if similar else settings.temperature, similar)


SCORERS: dict[str, Callable[[int, float, bool], Scorer]] = {
    "cosine": lambda _hidden, temperature, _similar: Cosine(temperature),
    "bilinear": lambda hidden, temperature, _similar: Bilinear(hidden, temperature),
    "additive": lambda hidden, _temperature, similar: Additive(hidden, beside_product=similar),
}
"""Every scorer by its name in `policy.scorer`: (hidden size, temperature, whether the policy starts as similarity)."""
