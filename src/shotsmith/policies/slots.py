"""Parallel decoding: a query vector per slot, known before anything is chosen."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from shotsmith.policies.parts import State
from shotsmith.policies.unit_length import unit_length


class Slots(nn.Module):
    """slot t asks for normalise(query + V gelu(U query + e_t)), whatever earlier slots chose (parts.Memory).

    Only the rule that nothing is chosen twice ties the slots together.
    """

    def __init__(self, hidden: int, steps: int) -> None:
        """`hidden` is H, `steps` the number of slots."""
        super().__init__()
        self.up = nn.Linear(hidden, hidden)
        self.slots = nn.Embedding(steps, hidden)
        self.down = nn.Linear(hidden, hidden)

    def start(self, query: torch.Tensor) -> State:
        """The first slot, from queries [B, 1, H]."""
        number = torch.zeros(query.shape[:2], dtype=torch.int64, device=query.device)
        return {"slots.query": query, "slots.number": number}

    def query(self, state: State) -> torch.Tensor:
        """What the slot asks for: [B, G, H], unit length."""
        query = state["slots.query"]
        inside = functional.gelu(self.up(query) + self.slots(state["slots.number"]))
        return unit_length(query + self.down(inside))

    def advance(self, state: State, chosen: torch.Tensor) -> State:
        """The next slot; of what was chosen [B, G, H] only the number of sequences matters."""
        number = state["slots.number"] + 1
        return {"slots.query": state["slots.query"].expand_as(chosen), "slots.number": number.expand(chosen.shape[:2])}
