"""What training and evaluation ask of a policy.

Axes in names and docstrings: B queries, G sequences per query, T steps (shots), K candidates, D embedding width.
Sequences are int64 positions in the pool; -1 pads sequences shorter than T, and STOP (-2) ends one by choice. The
distributions of a policy that can stop have one column more, the last, for STOP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

STOP = -2
"""In a sequence: the policy chose to show no further demonstration. After it there is only padding."""


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

    @property
    def can_stop(self) -> bool:
        """Whether the policy may end a sequence; the distributions then have a last column for STOP."""
        ...

    def step_distributions(self, inputs: Inputs, sequences: torch.Tensor) -> torch.Tensor:
        """Log-probabilities at every step of `sequences` [B, G, T]: [B, G, T, K], or [B, G, T, K + 1] with STOP.

        -inf where a candidate is padding or already chosen earlier in the sequence. At padded steps nothing but
        padding is excluded, and what is there has no meaning.
        """
        ...

    def log_prob(self, inputs: Inputs, sequences: torch.Tensor) -> torch.Tensor:
        """Log-probability of each step of `sequences` [B, G, T], STOP included: [B, G, T]; 0 where it is padded."""
        ...

    def sample(
        self, inputs: Inputs, shots: int, num: int, generator: torch.Generator, temperature: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`num` sequences per query, without repetition inside each: ([B, G, T], their step log-probs [B, G, T]).

        No gradient. The log-probabilities are those of the sampling distribution (temperature included). T is `shots`.
        """
        ...

    def sample_distinct(
        self, inputs: Inputs, shots: int, num: int, generator: torch.Generator, temperature: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """`num` different sequences per query, and what makes up for their being different: a weight each [B, G].

        Stochastic beam search (Kool et al., arXiv 1903.06059). Expectations under the sampling distribution are
        estimated without bias by sum_i weight_i f(sequence_i). Fewer than `num` where there are no more: rows of -1
        with weight 0. Otherwise as `sample`.
        """
        ...

    def greedy(self, inputs: Inputs, shots: int) -> torch.Tensor:
        """The most probable candidate (or STOP) at each step: [B, T]. No gradient; ties go to the lower position."""
        ...

    def beam(self, inputs: Inputs, shots: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The `width` best sequences found by beam search, best first: ([B, W, T], log-probs [B, W]). No gradient."""
        ...


def pick(log_probs: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """The entries of `log_probs` [..., K] at `positions` [...]: the last column for STOP, 0 where padded."""
    column = torch.where(positions == STOP, log_probs.shape[-1] - 1, positions.clamp(min=0))
    picked = log_probs.gather(-1, column[..., None]).squeeze(-1)
    return picked.masked_fill(positions == -1, 0.0)


def taken(sequences: torch.Tensor) -> torch.Tensor:
    """[...] bool: the steps at which something was chosen, STOP included."""
    return sequences != -1
