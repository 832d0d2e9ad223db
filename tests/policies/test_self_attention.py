from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from shotsmith.policies.self_attention import SelfAttentionEncoder

HIDDEN, POOL = 16, 6


def built(dropout: float = 0.0) -> SelfAttentionEncoder:
    """A block whose branches are no longer small, so that what it does shows."""
    torch.manual_seed(0)
    block = SelfAttentionEncoder(HIDDEN, 4, dropout).double().eval()
    with torch.no_grad():
        for branch in (block.write, block.down):
            branch.weight.normal_(std=0.5)
    return block


def drawn(seed: int = 0, pool: int = POOL) -> torch.Tensor:
    values = torch.randn(2, pool, HIDDEN, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return functional.normalize(values, dim=-1)


def seen_all(pool: int = POOL) -> torch.Tensor:
    return torch.ones(2, pool, dtype=torch.bool)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31 - 1))
def test_permuting_the_candidates_permutes_the_result(seed):
    block, values = built(), drawn(seed)
    mask = torch.rand(2, POOL, generator=torch.Generator().manual_seed(seed)) < 0.7
    order = torch.randperm(POOL, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(block(values[:, order], mask[:, order]), block(values, mask)[:, order])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("grad", [False, True])
def test_padding_is_never_seen_and_stays_finite_in_its_place(training, grad):
    block, values = built().train(training), drawn()
    padded = torch.cat([values, torch.full((2, 3, HIDDEN), 40.0, dtype=values.dtype)], dim=1)
    with torch.set_grad_enabled(grad):
        found = block(padded, functional.pad(seen_all(), (0, 3), value=False))
        assert found.shape == padded.shape and found.isfinite().all()
        torch.testing.assert_close(found[:, :POOL], block(values, seen_all()))


def test_candidates_see_each_other():
    block, values = built(), drawn()
    other = torch.cat([values[:, :-1], drawn(seed=1)[:, -1:]], dim=1)
    moved = (block(values, seen_all()) - block(other, seen_all()))[:, :-1]
    assert (moved.norm(dim=-1) > 1e-3).all()


def test_a_pool_without_candidates_gives_finite_values_and_gradients():
    block, values = built(), drawn().requires_grad_()
    found = block(values, torch.zeros(2, POOL, dtype=torch.bool))
    found.sum().backward()
    assert found.isfinite().all() and values.grad.isfinite().all()


def test_the_result_is_bitwise_the_same_with_and_without_gradients_in_train_and_eval_mode():
    block, values = built().float(), drawn().float()
    with torch.no_grad():
        without = block.eval()(values, seen_all())
    assert torch.equal(block.eval()(values, seen_all()), without)
    assert torch.equal(block.train()(values, seen_all()), without)


def test_dropout_acts_in_train_mode_only():
    block, values = built(dropout=0.5), drawn()
    assert torch.equal(block(values, seen_all()), block(values, seen_all()))
    block.train()
    assert not torch.equal(block(values, seen_all()), block(values, seen_all()))


@pytest.mark.parametrize("hidden", [16, 256])
def test_an_untrained_block_leaves_candidates_nearly_as_they_are(hidden):
    torch.manual_seed(0)
    values = functional.normalize(torch.randn(2, POOL, hidden), dim=-1)
    changed = (SelfAttentionEncoder(hidden, 1, 0.0)(values, seen_all()) - values).norm(dim=-1)
    assert (changed < 0.2).all() and (changed > 0).all()


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    block = SelfAttentionEncoder(HIDDEN, 4, 0.0).double()
    (block(drawn(), seen_all()) * drawn(seed=1)).sum().backward()
    for name, parameter in block.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
