from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from shotsmith.policies.memory import MEMORIES
from shotsmith.policies.parts import STEPS
from shotsmith.policies.slots import Slots
from shotsmith.recipe import PolicySettings

SETTINGS = PolicySettings(hidden_size=8)


def units(*shape: int, seed: int = 0) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape, 8, generator=torch.Generator().manual_seed(seed)), dim=-1)


def built(name: str, start: str = "random"):
    torch.manual_seed(0)
    memory = Slots(8, STEPS) if name == "slots" else MEMORIES[name](SETTINGS.model_copy(update={"start": start}), STEPS)
    if name == "residual":
        nn.init.normal_(memory.down.weight)  # it starts at zero
    return memory.eval()


every_memory = pytest.mark.parametrize("name", [*MEMORIES, "slots"])


@every_memory
def test_one_state_serves_all_sequences_until_their_first_choice(name):
    memory, query, chosen = built(name), units(3, 1), units(3, 4, seed=1)
    shared = memory.start(query)
    separate = {key: entry.expand(3, 4, *entry.shape[2:]) for key, entry in shared.items()}
    one, other = memory.advance(shared, chosen), memory.advance(separate, chosen)
    torch.testing.assert_close(memory.query(one), memory.query(other))
    assert all(entry.shape[:2] == (3, 4) for entry in one.values())


@every_memory
def test_queries_have_unit_length_and_only_some_memories_follow_the_choices(name):
    memory, query = built(name), units(3, 1)
    after = [memory.query(memory.advance(memory.start(query), units(3, 4, seed=seed))) for seed in (1, 2)]
    torch.testing.assert_close(after[0].norm(dim=-1), torch.ones(3, 4))
    assert torch.equal(*after) == (name in ("none", "slots"))


def test_the_gate_follows_its_formula():
    gate, state, chosen = built("gate"), units(3, 1), units(3, 4, seed=1)
    pair = torch.cat([state.expand(-1, 4, -1), chosen], -1)
    g = torch.sigmoid(gate.query_update_gate(pair))
    mixed = g * state + (1 - g) * chosen
    found = gate.query(gate.advance(gate.start(state), chosen))
    torch.testing.assert_close(found, mixed / mixed.norm(dim=-1, keepdim=True))


def test_the_gru_is_that_of_torch_and_at_first_mostly_keeps_the_state():
    gru, state, chosen = built("gru"), units(3, 1), units(3, 4, seed=1)
    found = gru.query(gru.advance(gru.start(state), chosen))
    expected = gru.cell(chosen.flatten(0, 1), state.expand(-1, 4, -1).flatten(0, 1)).view(3, 4, 8)
    torch.testing.assert_close(found, functional.normalize(expected, dim=-1))
    assert (functional.cosine_similarity(found, state, dim=-1) > 0.8).all()


@pytest.mark.parametrize("start", ["random", "similarity"])
def test_the_residual_follows_its_formula_and_starts_without_a_move(start):
    residual, query, first, second = built("residual", start), units(3, 1), units(3, 4, seed=1), units(3, 4, seed=2)
    state, moved = residual.start(query), torch.zeros(3, 4, 8)
    for chosen in (first, second):
        state = residual.advance(state, chosen)
        moved = moved + residual.down(
            functional.gelu(residual.up(torch.cat([query.expand_as(moved), moved, chosen], -1)))
        )
    expected = functional.normalize(query + moved, dim=-1) if start == "random" else moved
    torch.testing.assert_close(residual.query(state), expected)
    untrained = MEMORIES["residual"](SETTINGS, STEPS)
    assert (untrained.query(untrained.advance(untrained.start(query), first)) == 0).all()


def test_every_slot_asks_for_something_else_and_there_is_one_for_every_step():
    slots, query = built("slots"), units(1, 1)
    state, asked = slots.start(query), []
    for step in range(STEPS):
        state = slots.advance(state, units(1, 1, seed=step)) if step else state
        asked.append(slots.query(state)[0, 0])
    similarity = torch.stack(asked) @ torch.stack(asked).T
    assert (similarity.fill_diagonal_(0) < 0.999).all()
