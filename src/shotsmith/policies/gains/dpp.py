"""Determinantal diversity: how much a candidate adds to the volume that the chosen demonstrations span.

Kernel L = V V^T + RIDGE * I, with V the candidates' features, projected to a low rank and of unit length. Adding c to
the chosen S multiplies det L_S by the residual d^2(c) = L_cc - L_cS L_S^-1 L_Sc. As L_S is never smaller than its
ridge, neither is a residual: logarithms and roots stay finite beyond the rank too. A candidate that has been chosen
keeps the residual of a copy of itself, which is above the ridge as well.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from shotsmith.policies.parts import Encoded, State, rows_at
from shotsmith.recipe import PolicySettings

RIDGE = 0.01
"""What exact copies still add: it bounds the log residuals of unit-length features to [-4.6, 0.01]."""


class Dpp(nn.Module):
    """gain(c) = softplus(weight) * log d^2(c): exactly what log det L_S gains by c.

    The residuals follow the choices by incremental Cholesky (Chen, Zhang, Zhou, arXiv 1709.05135): each choice adds a
    row to the factor.
    """

    def __init__(self, settings: PolicySettings) -> None:
        """`settings.dpp_rank` is the width R of the features."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.features = nn.Linear(settings.hidden_size, settings.dpp_rank, bias=False)

    def start(self, encoded: Encoded) -> State:
        """`dpp.residual` [B, 1, K], and `dpp.factor` [B, 1, t, K]: a row of the Cholesky factor for each choice."""
        residual = _whole(encoded)
        return {"dpp.residual": residual, "dpp.factor": residual.new_zeros(len(residual), 1, 0, residual.shape[-1])}

    def gain(self, _encoded: Encoded, state: State) -> torch.Tensor:
        """[B, G, K], at least softplus(weight) * log RIDGE."""
        return functional.softplus(self.weight) * state["dpp.residual"].log()

    def advance(self, encoded: Encoded, state: State, choice: torch.Tensor) -> State:
        """The state after the choice of positions [B, G]."""
        residual = state["dpp.residual"]
        factor = state["dpp.factor"].expand(-1, choice.shape[1], -1, -1)
        at_choice = choice[..., None]
        explained = (factor.take_along_dim(at_choice[..., None], dim=-1) * factor).sum(dim=2)
        row = (_similarity(self.features, encoded, choice) - explained) / residual.take_along_dim(at_choice, -1).sqrt()
        return {"dpp.residual": residual - row.square(), "dpp.factor": torch.cat([factor, row[:, :, None]], dim=2)}


class DppMaxSimilarity(nn.Module):
    """gain(c) = softplus(weight) * log of c's residual given only the one chosen demonstration that is most like it.

    An approximation. It equals `Dpp` up to the second choice; after that it never sees more redundancy.
    """

    def __init__(self, settings: PolicySettings) -> None:
        """`settings.dpp_rank` is the width R of the features."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.features = nn.Linear(settings.hidden_size, settings.dpp_rank, bias=False)

    def start(self, encoded: Encoded) -> State:
        """`dpp_max_similarity.residual` [B, 1, K]."""
        return {"dpp_max_similarity.residual": _whole(encoded)}

    def gain(self, _encoded: Encoded, state: State) -> torch.Tensor:
        """[B, G, K], at least softplus(weight) * log RIDGE."""
        return functional.softplus(self.weight) * state["dpp_max_similarity.residual"].log()

    def advance(self, encoded: Encoded, state: State, choice: torch.Tensor) -> State:
        """The state after the choice of positions [B, G]."""
        alone = 1 + RIDGE - _similarity(self.features, encoded, choice).square() / (1 + RIDGE)
        return {"dpp_max_similarity.residual": torch.minimum(state["dpp_max_similarity.residual"], alone)}


def _whole(encoded: Encoded) -> torch.Tensor:
    """L_cc, the residual while nothing is chosen: [B, 1, K]."""
    return torch.full_like(encoded.candidates[:, None, :, 0], 1 + RIDGE)


def _similarity(features: nn.Linear, encoded: Encoded, choice: torch.Tensor) -> torch.Tensor:
    """V V^T between the candidates at `choice` [B, G] and all: [B, G, K]."""
    unit = functional.normalize(features(encoded.candidates), dim=-1)
    return rows_at(unit, choice) @ unit.mT
