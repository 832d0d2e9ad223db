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
    """state = normalise(g * state + (1 - g) * chosen), with g = sigmoid(W [state; chosen] + b).

    The predecessor's memory. It can only move the state towards what was chosen, so the next choice tends to be alike.
    """

    def __init__(self, hidden: int) -> None:
        """`hidden` is H."""
        super().__init__()
        self.query_update_gate = nn.Linear(2 * hidden, hidden)

    def forward(self, state: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """The state after `chosen`, unit length."""
        keep = torch.sigmoid(self.query_update_gate(torch.cat([state, chosen], dim=-1)))
        return functional.normalize(keep * state + (1 - keep) * chosen, dim=-1)


class Gru(nn.Module):
    """A gated recurrent unit (arXiv 1406.1078) that reads each choice; it can turn the state away from it as well.

    It starts out by mostly keeping the state: what to look for is still what the query says.
    """

    def __init__(self, hidden: int) -> None:
        """`hidden` is H."""
        super().__init__()
        self.cell = nn.GRUCell(hidden, hidden)
        with torch.no_grad():
            self.cell.bias_hh[hidden : 2 * hidden] += 2.0

    def forward(self, state: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """The state after `chosen`, unit length."""
        size = state.shape[-1]
        after: torch.Tensor = self.cell(chosen.reshape(-1, size), state.reshape(-1, size))
        return functional.normalize(after.view(state.shape), dim=-1)


MEMORIES: dict[str, Callable[[int], nn.Module]] = {"none": lambda _hidden: Static(), "gate": Gate, "gru": Gru}
"""Every memory by its name in `policy.memory`."""
