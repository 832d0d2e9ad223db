"""What a pointer policy is put together from, and how the parts speak to each other.

Axes: B queries, G sequences per query, K candidates, H hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from shotsmith.policies.scorer import Scorer

State = Mapping[str, torch.Tensor]
"""Where sequences stand before their next choice: tensors [B, G, ...] by name.

Parts never look into each other's entries; a part's names are its own. As every entry has axes B and G first, a
decoder can repeat, cut and reorder sequences without knowing what the entries mean. Before the first choice all
sequences of a query are the same: G is 1, and `advance` spreads it over the sequences it is given choices of.
"""

STEPS = 16
"""The least size of what a policy learns for every step (positions, slots, step embeddings): that of all policies of
earlier versions. A recipe with longer sequences has policies with more."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Queries and candidates as the decoder sees them, shared by all sequences of a query."""

    query: torch.Tensor
    """[B, H]: the state before the first choice; of unit length, but for policies that start as similarity."""
    candidates: torch.Tensor
    """[B, K, H], unit length."""
    mask: torch.Tensor
    """[B, K] bool; False where a smaller pool is padded. What stands there is finite, and never matters."""
    unscaled: torch.Tensor | None = None
    """[B, K, H], the candidates before they were scaled to unit length, where that matters: keys are made of these."""

    @property
    def compared(self) -> torch.Tensor:
        """[B, K, H]: the candidates as the scorer compares them with states."""
        return self.candidates if self.unscaled is None else self.unscaled


class Memory(Protocol):
    """How the query state follows what has been chosen."""

    def start(self, query: torch.Tensor) -> State:
        """The state before the first choice, from queries [B, 1, H]."""
        ...

    def query(self, state: State) -> torch.Tensor:
        """What the next choice is compared with: [B, G, H], unit length."""
        ...

    def advance(self, state: State, chosen: torch.Tensor) -> State:
        """The state after choosing candidates [B, G, H]."""
        ...


class Gain(Protocol):
    """What is added to a candidate's score for what has been chosen before it."""

    def start(self, encoded: Encoded) -> State:
        """The state before the first choice: entries [B, 1, ...]."""
        ...

    def gain(self, encoded: Encoded, state: State) -> torch.Tensor:
        """[B, G, K], finite everywhere (blocked candidates too)."""
        ...

    def advance(self, encoded: Encoded, state: State, choice: torch.Tensor) -> State:
        """The state after the choice of positions [B, G]."""
        ...


class Network(Protocol):
    """What walks need of a policy."""

    scorer: Scorer

    @property
    def temperature(self) -> torch.Tensor | float:
        """What scores are divided by."""
        ...

    @property
    def gain_parts(self) -> Sequence[Gain]:
        """What is added to the scores for what has been chosen before."""
        ...

    @property
    def similar(self) -> bool:
        """Whether similarity enters the scores (`unlearned`)."""
        ...

    @property
    def shortlist(self) -> int:
        """M: the entries of a bank that can be chosen at a step."""
        ...

    def begin(self, query: torch.Tensor) -> State:
        """The state before the first choice, from encoded queries [B, H]; its entries are [B, 1, ...]."""
        ...

    def follow(self, state: State, chosen: torch.Tensor) -> State:
        """The state after choosing encoded candidates [B, G, H]."""
        ...

    def asked(self, state: State) -> torch.Tensor:
        """What the next choice is compared with: [B, G, H]."""
        ...

    def unlearned(self, queries: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        """What similarity adds to the scores of candidates [U, D] for queries [B, D]: [B, U]."""
        ...

    def distribution(self, queries: torch.Tensor, scores: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [..., C] from states [..., H], scores [..., K] and the number chosen so far [...]."""
        ...


def rows_at(values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """`values` [B, N, ...] at `rows` [B, W]: [B, W, ...]."""
    shape = (*rows.shape, *(1,) * (values.dim() - 2))
    return values.gather(1, rows.view(shape).expand(*rows.shape, *values.shape[2:]))
