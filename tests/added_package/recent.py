"""A gain of another package: a bonus for what resembles the last choice."""

from __future__ import annotations

import torch
from torch import nn

from shotsmith.policies.parts import Encoded, State, rows_at
from shotsmith.recipe import PolicySettings


class Recent(nn.Module):
    """gain(c) = strength * cos(c, the last choice); 0 before the first one."""

    def __init__(self, settings: PolicySettings) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.tensor(float(settings.gain_options.get("recent", {}).get("strength", 1.0))))

    def start(self, encoded: Encoded) -> State:
        return {"recent.last": torch.zeros_like(encoded.query)[:, None]}

    def gain(self, encoded: Encoded, state: State) -> torch.Tensor:
        return self.strength * (state["recent.last"] @ encoded.candidates.mT)

    def advance(self, encoded: Encoded, state: State, choice: torch.Tensor) -> State:
        return {"recent.last": rows_at(encoded.candidates, choice)}
