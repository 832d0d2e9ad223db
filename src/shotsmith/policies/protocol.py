"""What training and evaluation ask of a policy.

Axes in names and docstrings: B queries, G sequences per query, T steps (shots), K candidates, D embedding width.
Sequences are int64 positions in the pool; -1 pads sequences shorter than T.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch


@dataclass(frozen=True, slots=True)
class Inputs:
    """Frozen embeddings of B queries and their candidates."""

    queries: torch.Tensor
    """[B, D] float32."""
    candidates: torch.Tensor
    """[B, K, D] float32."""
    mask: torch.Tensor
    """[B, K] bool; False where a smaller pool is padded."""


class Policy(Protocol):
    """A distribution over sequences without repetition. All methods are differentiable unless said otherwise."""

    def step_distributions(self, inputs: Inputs, sequences: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of every candidate at every step of `sequences` [B, G, T]: [B, G, T, K].

        -inf where a candidate is padding or already chosen earlier in the sequence.
        """
        ...

    def log_prob(self, inputs: Inputs, sequences: torch.Tensor) -> torch.Tensor:
        """Log-probability of each step of `sequences` [B, G, T]: [B, G, T]; 0 where the sequence is padded."""
        ...

    def sample(
        self, inputs: Inputs, shots: int, num: int, generator: torch.Generator, temperature: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`num` sequences per query, without repetition inside each: ([B, G, T], their step log-probs [B, G, T]).

        No gradient. The log-probabilities are those of the sampling distribution (temperature included).
        """
        ...

    def greedy(self, inputs: Inputs, shots: int) -> torch.Tensor:
        """The most probable candidate at each step: [B, T]. No gradient; ties go to the lower position."""
        ...

    def beam(self, inputs: Inputs, shots: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The `width` best sequences found by beam search, best first: ([B, W, T], log-probs [B, W]). No gradient."""
        ...
