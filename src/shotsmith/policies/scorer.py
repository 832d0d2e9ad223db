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
    """scale * q . c / temperature. The scale is 1, or a weight that starts at zero."""

    def __init__(self, temperature: float, *, from_zero: bool = False) -> None:
        """`temperature` > 0: the lower, the more a difference in cosine counts."""
        super().__init__()
        self.temperature = temperature
        self.scale = nn.Parameter(torch.zeros(())) if from_zero else None

    def keys(self, candidates: torch.Tensor) -> torch.Tensor:
        """The candidates."""
        return candidates

    def vectors(self, queries: torch.Tensor) -> torch.Tensor:
        """The scaled queries."""
        return (queries if self.scale is None else queries * self.scale) / self.temperature

    def forward(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """[B, G, H] and [B, K, H] -> [B, G, K]."""
        scores = queries @ keys.mT / self.temperature
        return scores if self.scale is None else scores * self.scale


class Bilinear(nn.Module):
    """q^T W c / temperature. W starts as the identity (the cosine), or at zero."""

    def __init__(self, hidden: int, temperature: float, *, from_zero: bool = False) -> None:
        """`hidden` is H; `temperature` > 0."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(hidden, hidden) if from_zero else torch.eye(hidden))
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
    """v . tanh(W q + U c) (Bahdanau et al., arXiv 1409.0473). Without a temperature: v has its own scale."""

    def __init__(self, hidden: int, *, from_zero: bool = False) -> None:
        """`hidden` is H. With `from_zero`, v starts at zero."""
        super().__init__()
        self.of_query = nn.Linear(hidden, hidden)
        self.of_candidate = nn.Linear(hidden, hidden, bias=False)
        self.value = nn.Linear(hidden, 1, bias=False)
        if from_zero:
            nn.init.zeros_(self.value.weight)

    def keys(self, candidates: torch.Tensor) -> torch.Tensor:
        """U c."""
        keys: torch.Tensor = self.of_candidate(candidates)
        return keys

    def vectors(self, queries: torch.Tensor) -> None:
        """None: the scores are no inner products."""

    def forward(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """[B, G, H] and [B, K, H] -> [B, G, K]."""
        inside = torch.tanh(self.of_query(queries)[:, :, None] + keys[:, None])
        return functional.linear(inside, self.value.weight).squeeze(-1)


def build_scorer(settings: PolicySettings) -> Scorer:
    """The scorer of a policy.

    In a policy that starts as similarity it starts at zero and leaves the temperature to the whole score.
    """
    from_zero = settings.start == "similarity"
    return SCORERS[settings.scorer](settings.hidden_size, 1.0 if from_zero else settings.temperature, from_zero)


SCORERS: dict[str, Callable[[int, float, bool], Scorer]] = {
    "cosine": lambda _hidden, temperature, from_zero: Cosine(temperature, from_zero=from_zero),
    "bilinear": lambda hidden, temperature, from_zero: Bilinear(hidden, temperature, from_zero=from_zero),
    "additive": lambda hidden, _temperature, from_zero: Additive(hidden, from_zero=from_zero),
}
"""Every scorer by its name in `policy.scorer`: (hidden size, temperature, whether it starts at zero) -> scorer."""
