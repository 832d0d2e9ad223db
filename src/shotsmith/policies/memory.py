"""How the query state follows what has been chosen (parts.Memory).

Before the first choice all sequences of a query share one state; what depends on the state alone is computed once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from shotsmith.policies.gpt2 import Gpt2Memory
from shotsmith.policies.parts import Memory, State
from shotsmith.policies.unit_length import unit_length
from shotsmith.recipe import PolicySettings


class VectorMemory(nn.Module):
    """A memory that is the query state itself, one unit vector."""

    def start(self, query: torch.Tensor) -> State:
        """The state before the first choice, from queries [B, 1, H]."""
        return {"memory.query": query}

    def query(self, state: State) -> torch.Tensor:
        """What the next choice is compared with: [B, G, H]."""
        return state["memory.query"]

    def advance(self, state: State, chosen: torch.Tensor) -> State:
        """The state after choosing candidates [B, G, H]."""
        return {"memory.query": self(state["memory.query"], chosen)}


class Static(VectorMemory):
    """The state stays the query: choices are the best-scored candidates, in order of score."""

    def forward(self, query: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """[B, 1 or G, H] and [B, G, H] -> [B, G, H]."""
        return query.expand_as(chosen)


class Gate(VectorMemory):
    """state = normalise(g * state + (1 - g) * chosen), with g = sigmoid(W [state; chosen] + b).

    It can only move the state towards what was chosen, so the next choice tends to be alike.
    """

    def __init__(self, hidden: int) -> None:
        """`hidden` is H."""
        super().__init__()
        self.query_update_gate = nn.Linear(2 * hidden, hidden)

    def forward(self, query: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """[B, 1 or G, H] and [B, G, H] -> [B, G, H]."""
        of_query, of_chosen = self.query_update_gate.weight.chunk(2, dim=1)
        known = functional.linear(query, of_query, self.query_update_gate.bias)
        keep = torch.sigmoid(known + functional.linear(chosen, of_chosen))
        return unit_length(torch.lerp(chosen, query.expand_as(chosen), keep))


class Gru(VectorMemory):
    """A gated recurrent unit (arXiv 1406.1078) that reads each choice; it can turn the state away from it as well.

    It starts out by mostly keeping the state: what to look for is still what the query says.
    """

    def __init__(self, hidden: int) -> None:
        """`hidden` is H."""
        super().__init__()
        self.cell = nn.GRUCell(hidden, hidden)
        with torch.no_grad():
            self.cell.bias_hh[hidden : 2 * hidden] += 2.0

    def forward(self, query: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """[B, 1 or G, H] and [B, G, H] -> [B, G, H]; the formula of nn.GRUCell."""
        known = functional.linear(query, self.cell.weight_hh, self.cell.bias_hh).chunk(3, dim=-1)
        new = functional.linear(chosen, self.cell.weight_ih, self.cell.bias_ih).chunk(3, dim=-1)
        reset, keep = torch.sigmoid(new[0] + known[0]), torch.sigmoid(new[1] + known[1])
        candidate = torch.tanh(new[2] + reset * known[2])
        return unit_length(torch.lerp(candidate, query.expand_as(candidate), keep))


class Residual(nn.Module):
    """How far the state has moved: each choice adds W2 gelu(W1 [query; moved; chosen]), with W2 at zero at the start.

    Nothing bounds the move, so a choice can make the opposite of itself the next one. In a policy that starts as
    similarity the state is the query plus the move; elsewhere it is that sum, scaled to unit length.
    """

    def __init__(self, hidden: int, *, whole: bool) -> None:
        """`hidden` is H; `whole` says that `query` gives the whole state, not the move alone."""
        super().__init__()
        self.whole = whole
        self.up = nn.Linear(3 * hidden, 2 * hidden)
        self.down = nn.Linear(2 * hidden, hidden)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def start(self, query: torch.Tensor) -> State:
        """The state before the first choice, from queries [B, 1, H]."""
        return {"residual.query": query, "residual.moved": torch.zeros_like(query)}

    def query(self, state: State) -> torch.Tensor:
        """The move [B, G, H], or the whole state."""
        moved = state["residual.moved"]
        return unit_length(state["residual.query"] + moved) if self.whole else moved

    def advance(self, state: State, chosen: torch.Tensor) -> State:
        """The state after choosing candidates [B, G, H]."""
        query, moved = (state[name].expand_as(chosen) for name in ("residual.query", "residual.moved"))
        seen = torch.cat([query, moved, chosen], dim=-1)
        return {"residual.query": query, "residual.moved": moved + self.down(functional.gelu(self.up(seen)))}


GPT2_LAYERS = 2
"""Layers of the GPT-2 memory."""

MEMORIES: dict[str, Callable[[PolicySettings, int], Memory]] = {
    "none": lambda _settings, _steps: Static(),
    "gate": lambda settings, _steps: Gate(settings.hidden_size),
    "gru": lambda settings, _steps: Gru(settings.hidden_size),
    "residual": lambda settings, _steps: Residual(settings.hidden_size, whole=settings.start == "random"),
    "gpt2": lambda settings, steps: Gpt2Memory(
        settings.hidden_size, GPT2_LAYERS, settings.heads, settings.attention_dropout, steps
    ),
}
"""Every memory by its name in `policy.memory`, made for sequences of so many steps."""
