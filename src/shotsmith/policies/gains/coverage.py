"""Topic coverage: a demonstration counts for what it adds on the topics the query is about."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from shotsmith.policies.parts import Encoded, State, rows_at
from shotsmith.recipe import PolicySettings


class Coverage(nn.Module):
    """The marginal gain of F(S) = sum over topics t of p(t | query) * (1 - prod over s in S of (1 - p(t | s))).

    F is the probabilistic coverage of diversification (Agrawal et al., "Diversifying search results", WSDM 2009):
    it never falls, and what is covered already gains less. p(t | x) is a softmax over x's products with learned
    prototypes; the longer a prototype, the sharper its topic.
    """

    def __init__(self, settings: PolicySettings) -> None:
        """`settings.topics` is the number M of prototypes."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.prototypes = nn.Parameter(torch.randn(settings.topics, settings.hidden_size))

    def start(self, encoded: Encoded) -> State:
        """`coverage.open` [B, 1, M]: the share of each topic that nothing chosen covers."""
        return {"coverage.open": encoded.query.new_ones(len(encoded.query), 1, len(self.prototypes))}

    def gain(self, encoded: Encoded, state: State) -> torch.Tensor:
        """[B, G, K]: softplus(weight) times what F gains by each candidate."""
        wanted = self._topics(encoded.query)[:, None] * state["coverage.open"]
        return functional.softplus(self.weight) * (wanted @ self._topics(encoded.candidates).mT)

    def advance(self, encoded: Encoded, state: State, choice: torch.Tensor) -> State:
        """The state after the choice of positions [B, G]."""
        chosen = self._topics(rows_at(encoded.candidates, choice))
        return {"coverage.open": state["coverage.open"] * (1 - chosen)}

    def _topics(self, values: torch.Tensor) -> torch.Tensor:
        """p(topic | value): [..., H] -> [..., M]."""
        return functional.softmax(values @ self.prototypes.mT, dim=-1)
