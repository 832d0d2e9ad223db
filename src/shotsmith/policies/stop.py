"""When to show no further demonstration."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

INITIAL = 0.1
"""About how probable it is, in an untrained policy, that a sequence ends at a step."""


class StopHead(nn.Module):
    """P(stop) from the query state, the best score still to be had and the number chosen so far.

    A two-layer perceptron over H + 2 features. It sees the pool through its best score only, so that neither padding
    nor the size of the pool matters.
    """

    def __init__(self, hidden: int) -> None:
        """`hidden` is H."""
        super().__init__()
        self.up = nn.Linear(hidden + 2, hidden)
        self.down = nn.Linear(hidden, 1)
        nn.init.normal_(self.down.weight, std=0.03 / math.sqrt(hidden))
        nn.init.constant_(self.down.bias, math.log(INITIAL / (1 - INITIAL)))

    def forward(
        self, queries: torch.Tensor, scores: torch.Tensor, steps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(log P(go on), log P(stop)), both [B, G], from [B, G, H], scores [B, G, K] and how many are chosen [B, G].

        Blocked candidates have score -inf; where nothing is left, stopping is certain.
        """
        best = scores.amax(-1)
        exhausted = best == -torch.inf
        features = [queries, best.masked_fill(exhausted, 0.0)[..., None], steps[..., None].to(queries.dtype)]
        logit = self.down(functional.gelu(self.up(torch.cat(features, dim=-1)))).squeeze(-1)
        logit = logit.masked_fill(exhausted, torch.inf)
        return functional.logsigmoid(-logit), functional.logsigmoid(logit)
