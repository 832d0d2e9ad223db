from __future__ import annotations

import torch
from torch.nn import functional

from shotsmith.policies.memory import MEMORIES


def state_and_choice():
    drawn = torch.randn(2, 3, 4, 8, generator=torch.Generator().manual_seed(0))
    return functional.normalize(drawn, dim=-1).unbind(0)


def test_every_memory_but_none_moves_the_state_and_keeps_its_length():
    state, chosen = state_and_choice()
    for name, build in MEMORIES.items():
        after = build(8)(state, chosen)
        torch.testing.assert_close(after.norm(dim=-1), torch.ones(3, 4))
        assert torch.equal(after, state) == (name == "none"), name


def test_the_gate_follows_its_formula():
    state, chosen = state_and_choice()
    gate = MEMORIES["gate"](8)
    g = torch.sigmoid(gate.query_update_gate(torch.cat([state, chosen], -1)))
    mixed = g * state + (1 - g) * chosen
    torch.testing.assert_close(gate(state, chosen), mixed / mixed.norm(dim=-1, keepdim=True))


def test_an_untrained_gru_mostly_keeps_the_state():
    state, chosen = state_and_choice()
    torch.manual_seed(0)
    assert (functional.cosine_similarity(MEMORIES["gru"](8)(state, chosen), state, dim=-1) > 0.8).all()
