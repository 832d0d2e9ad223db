"""What training and evaluation ask of a policy.

Axes in names and docstrings: B queries, G sequences per query, T steps (shots), K candidates, M entries of a shortlist,
N entries of the bank, D embedding width.

Candidates come as a pool of each query (`Inputs`), or from a bank that all queries share (`BankInputs`). A bank is too
large to choose from at once: at each step the choices are a shortlist, the M rows with the highest scores. Sequences
are int64 positions in the pool, or in the shortlist of their step, in the order of choice; -1 pads sequences shorter
than T, and STOP (-2) ends one by choice. The distributions of a policy that can stop have one column more, the last,
for STOP.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from shotsmith.policies.candidates import Candidates, Retriever, Search
from shotsmith.policies.rounded_keys import RoundedKeys
from shotsmith.recipe import PolicySettings

STOP = -2
"""In a sequence: the policy chose to show no further demonstration. After it there is only padding."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Frozen embeddings of B queries and their candidates: each query has a pool of its own."""

    queries: torch.Tensor
    """[B, D] float32."""
    candidates: torch.Tensor
    """[B, K, D] float32."""
    mask: torch.Tensor
    """[B, K] bool; False where a smaller pool is padded."""


class RetrievedBank(Protocol):
    """A bank that policies retrieve from: in memory (policies.bank) or in a database (policies.stored)."""

    def __len__(self) -> int:
        """N."""
        ...

    def at(self, rows: torch.Tensor) -> torch.Tensor:
        """The embeddings [..., D] of rows [...]."""
        ...

    def candidates(self, policy: Retriever) -> Candidates:
        """All N entries, encoded by the policy as it is."""
        ...

    def some(self, policy: Retriever, rows: torch.Tensor) -> Candidates:
        """Some entries [W], encoded by the policy as it is."""
        ...

    def rounded(self, policy: Retriever) -> RoundedKeys | None:
        """The keys of all entries in eight bits; None where scoring all keys is as fast."""
        ...

    def search(self, policy: Retriever) -> Search | None:
        """The approximate search; None where every entry is scored."""
        ...

    def excluded(self, barred: torch.Tensor) -> torch.Tensor:
        """What may not be chosen [B, X'], for rows barred for each query [B, X]; -1 pads."""
        ...

    def similarity(self, queries: torch.Tensor, embeddings: torch.Tensor | None = None) -> torch.Tensor:
        """Cosines [B, U] of queries [B, D] with some embeddings [U, D] (all of the bank), rounded."""
        ...


@dataclass(frozen=True, slots=True)
class BankInputs:
    """Frozen embeddings of B queries that choose from a whole bank."""

    queries: torch.Tensor
    """[B, D] float32."""
    bank: RetrievedBank
    """What can be shown, and the search for the highest scores in it."""
    barred: torch.Tensor
    """[B, X] int64, rows of the bank that must not be shown to a query; -1 pads."""
    shortlists: torch.Tensor | None = None
    """[B, G, T, M] int64, the recorded choices of every step: rows of the bank, -1 where there were fewer. None where
    the policy is to retrieve them."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Sequences that a policy chose, T steps long."""

    sequences: torch.Tensor
    """[B, G, T] positions in the pool, or in the shortlist of the step; -1 pads, STOP ends a sequence."""
    log_probs: torch.Tensor
    """[B, G, T] of every step under the distribution that was sampled from (temperature included); 0 where padded."""
    weights: torch.Tensor
    """[B, G]; 1, unless the sequences were sampled without replacement (decoding.sample_distinct)."""
    shortlists: torch.Tensor | None = None
    """[B, G, T, M] rows of the bank that could be chosen at every step; None for pools."""

    @property
    def shown(self) -> torch.Tensor:
        """[B, G, T] positions in the pool, or rows of the bank; -1 and STOP as in `sequences`."""
        return rows_of(self.sequences, self.shortlists)


class Policy(nn.Module, ABC):
    """A distribution over sequences without repetition: all that training, selection and checkpoints know of a policy.

    Methods are differentiable unless said otherwise. `policies.pointer.build_policy` makes one from settings.
    """

    settings: PolicySettings
    """What it was built from."""
    embedding_width: int
    """D: the width of the embeddings it reads."""
    steps: int
    """What parts that learn something for every step have room for."""

    @property
    @abstractmethod
    def can_stop(self) -> bool:
        """Whether the policy may end a sequence; the distributions then have a last column for STOP."""

    @property
    @abstractmethod
    def outwards(self) -> bool:
        """Whether the first choice stands next to the query, so that sequences are shown in reverse."""

    @abstractmethod
    def step_distributions(self, inputs: Inputs | BankInputs, sequences: torch.Tensor) -> torch.Tensor:
        """Log-probabilities at every step of `sequences` [B, G, T]: [B, G, T, K], or [B, G, T, K + 1] with STOP.

        K are the candidates of the pool or the entries M of the recorded shortlists. -inf where a candidate is padding
        or already chosen earlier in the sequence. At padded steps nothing but padding is excluded, and what is there
        has no meaning.
        """

    @abstractmethod
    def log_prob(self, inputs: Inputs | BankInputs, sequences: torch.Tensor) -> torch.Tensor:
        """Log-probability of each step of `sequences` [B, G, T], STOP included: [B, G, T]; 0 where it is padded."""

    @abstractmethod
    def sample(
        self,
        inputs: Inputs | BankInputs,
        shots: int,
        num: int,
        generator: torch.Generator,
        temperature: float = 1.0,
    ) -> Chosen:
        """`num` sequences per query, without repetition inside each. No gradient. T is `shots`."""

    @abstractmethod
    def sample_distinct(
        self,
        inputs: Inputs | BankInputs,
        shots: int,
        num: int,
        generator: torch.Generator,
        temperature: float = 1.0,
    ) -> Chosen:
        """`num` different sequences per query, with weights that make up for their being different.

        Stochastic beam search (Kool et al., arXiv 1903.06059). Expectations under the sampling distribution are
        estimated without bias by sum_i weight_i f(sequence_i). Fewer than `num` where there are no more: rows of -1
        with weight 0. Otherwise as `sample`.
        """

    @abstractmethod
    def greedy(self, inputs: Inputs | BankInputs, shots: int) -> torch.Tensor:
        """The most probable choice (or STOP) at each step: [B, T], positions in the pool or rows of the bank.

        No gradient; ties go to the lower position.
        """

    @abstractmethod
    def beam(self, inputs: Inputs | BankInputs, shots: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The `width` best sequences found by beam search, best first: ([B, W, T], log-probs [B, W]). No gradient.

        Positions in the pool or rows of the bank.
        """

    @abstractmethod
    def locate(self, inputs: BankInputs, shown: torch.Tensor) -> Chosen:
        """Sequences that something else chose, with shortlists that hold what they chose.

        `shown` [B, G, T] are rows of the bank in the order of choice, -1 and STOP as in sequences. Where this policy
        would not have retrieved a row, it takes the place of the lowest entry of the shortlist. The log-probabilities
        are this policy's. No gradient.
        """


def rows_of(sequences: torch.Tensor, shortlists: torch.Tensor | None) -> torch.Tensor:
    """`sequences` [B, G, T] as positions in the pool or, with shortlists [B, G, T, M], as rows of the bank."""
    if shortlists is None:
        return sequences
    rows = shortlists.gather(-1, sequences.clamp(min=0)[..., None]).squeeze(-1)
    return torch.where(sequences < 0, sequences, rows)


def pick(log_probs: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """The entries of `log_probs` [..., K] at `positions` [...]: the last column for STOP, 0 where padded."""
    column = torch.where(positions == STOP, log_probs.shape[-1] - 1, positions.clamp(min=0))
    picked = log_probs.gather(-1, column[..., None]).squeeze(-1)
    return picked.masked_fill(positions == -1, 0.0)


def taken(sequences: torch.Tensor) -> torch.Tensor:
    """[...] bool: the steps at which something was chosen, STOP included."""
    return sequences != -1
