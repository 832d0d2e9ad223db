from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from shotsmith.errors import InputError
from shotsmith.policies.gpt2 import Gpt2Memory

HIDDEN = 16


def built(dropout: float = 0.0, seed: int = 0) -> Gpt2Memory:
    torch.manual_seed(seed)
    return Gpt2Memory(HIDDEN, layers=2, heads=2, dropout=dropout, steps=18).eval()


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    values = torch.randn(*shape, HIDDEN, generator=torch.Generator().manual_seed(seed))
    return functional.normalize(values, dim=-1)


def states_along(memory: Gpt2Memory, query: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The query state before each choice of [B, G, T, H], and after the last: [B, G, T + 1, H]."""
    state = memory.start(query[:, None])
    state = {key: value.expand(-1, chosen.shape[1], *value.shape[2:]) for key, value in state.items()}
    found = [memory.query(state)]
    for choice in chosen.unbind(2):
        state = memory.advance(state, choice)
        found.append(memory.query(state))
    return torch.stack(found, dim=2)


def test_states_have_unit_length_and_follow_what_is_chosen():
    found = states_along(built(), drawn(2), drawn(2, 3, 4, seed=1))
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(2, 3, 5))
    assert (found.diff(dim=2).norm(dim=-1) > 1e-3).all()


def test_the_order_of_what_is_chosen_matters():
    memory, query, chosen = built(), drawn(2), drawn(2, 3, 2, seed=1)
    forth, back = states_along(memory, query, chosen), states_along(memory, query, chosen.flip(2))
    assert not torch.allclose(forth[:, :, -1], back[:, :, -1], atol=1e-4)


def test_a_token_is_read_without_sight_of_later_ones():
    memory, tokens = built(), drawn(2, 5)
    whole = memory.transformer(inputs_embeds=tokens, use_cache=False).last_hidden_state
    for length in range(1, 6):
        part = memory.transformer(inputs_embeds=tokens[:, :length], use_cache=False).last_hidden_state
        torch.testing.assert_close(whole[:, :length], part)


def test_the_state_after_a_prefix_does_not_depend_on_later_choices():
    memory, query, chosen = built(), drawn(2), drawn(2, 3, 4, seed=1)
    other = torch.cat([chosen[:, :, :2], drawn(2, 3, 2, seed=2)], dim=2)
    ours, theirs = states_along(memory, query, chosen), states_along(memory, query, other)
    torch.testing.assert_close(ours[:, :, :3], theirs[:, :, :3])
    assert not torch.allclose(ours[:, :, 3:], theirs[:, :, 3:], atol=1e-4)


def test_a_sequence_gets_the_same_states_alone_as_among_others():
    memory, query, chosen = built(), drawn(2), drawn(2, 3, 4, seed=1)
    together = states_along(memory, query, chosen)
    for b in range(2):
        for g in range(3):
            alone = states_along(memory, query[b : b + 1], chosen[b : b + 1, g : g + 1])
            torch.testing.assert_close(alone, together[b : b + 1, g : g + 1])


def test_an_untrained_memory_mostly_looks_for_what_the_query_says():
    query = drawn(4)
    found = states_along(built(), query, drawn(4, 3, 4, seed=1))
    cosine = functional.cosine_similarity(found, query[:, None, None], dim=-1)
    assert (cosine > 0.7).all()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    ours, same, other = (built(seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, same[name]) for name, value in ours.items())
    assert any(not torch.equal(value, other[name]) for name, value in ours.items())


def test_dropout_acts_in_train_mode_only():
    memory, query, chosen = built(dropout=0.5), drawn(2), drawn(2, 3, 2, seed=1)
    assert torch.equal(states_along(memory, query, chosen), states_along(memory, query, chosen))
    memory.train()
    assert not torch.equal(states_along(memory, query, chosen), states_along(memory, query, chosen))


def test_gradients_reach_every_parameter():
    memory, direction = built(), drawn(2, 3, 3, seed=2)
    (states_along(memory, drawn(2), drawn(2, 3, 2, seed=1)) * direction).sum().backward()
    for name, parameter in memory.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_as_many_demonstrations_are_followed_as_it_was_made_for_and_more_are_refused():
    memory, state = built(), built().start(drawn(1)[:, None])
    for choice in drawn(1, 18, seed=1).unbind(1):
        state = memory.advance(state, choice[:, None])
    assert memory.query(state).isfinite().all()
    with pytest.raises(InputError, match="18 demonstrations"):
        memory.query(memory.advance(state, drawn(1, 1)))
