"""How the query state follows what has been chosen. A memory maps (state, chosen), both [..., H], to the next state."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional


class Static(nn.Module):
    """The state stays the query: choices are the best-scored candidates, in order of score."""

    def forward(self, state: torch.Tensor, _chosen: torch.Tensor) -> torch.Tensor:
        """The state itself."""
        return state


class Gate(nn.Module):
    """state = normalise(g * state + (1 - g) * chosen), with g = sigmoid(W [state; chosen] + b)."""

    def __init__(self, hidden: int) -> None:
        """`hidden` is H."""
        super().__init__()
        self.query_update_gate = nn.Linear(2 * hidden, hidden)

    def forward(self, state: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """The state after `chosen`, unit length."""
        keep = torch.sigmoid(self.query_update_gate(torch.cat([state, chosen], dim=-1)))
        return functional.normalize(keep * state + (1 - keep) * chosen, dim=-1)


MEMORIES: dict[str, Callable[[int], nn.Module]] = {"none": lambda _hidden: Static(), "gate": Gate}
"""Every memory by its name in `policy.memory`."""
