from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from shotsmith.policies.parts import Encoded
from shotsmith.policies.refinement import Refinement

HIDDEN, POOL, TOP = 16, 8, 3


def built(dropout: float = 0.0, top_m: int = TOP) -> Refinement:
    """One whose block is no longer small, so that what it does shows."""
    torch.manual_seed(0)
    refinement = Refinement(HIDDEN, 4, top_m, dropout).double().eval()
    with torch.no_grad():
        for branch in (refinement.block.write, refinement.block.down):
            branch.weight.normal_(std=0.3)
    return refinement


def drawn(seed: int = 0) -> tuple[Encoded, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(2, POOL + 1, HIDDEN, dtype=torch.float64, generator=generator)
    query, candidates = functional.normalize(values, dim=-1).split([1, POOL], dim=1)
    scores = torch.randn(2, POOL, dtype=torch.float64, generator=generator)
    return Encoded(query[:, 0], candidates, torch.ones(2, POOL, dtype=torch.bool)), scores


def changed(before: Encoded, after: Encoded) -> torch.Tensor:
    """[B, K] bool: the candidates whose representation is another."""
    return (before.candidates != after.candidates).any(-1)


def best(scores: torch.Tensor, number: int) -> torch.Tensor:
    return torch.zeros_like(scores, dtype=torch.bool).scatter(1, scores.topk(number).indices, True)


def test_the_best_and_only_they_change_and_keep_unit_length():
    encoded, scores = drawn()
    after = built()(encoded, scores)
    assert torch.equal(changed(encoded, after), best(scores, TOP))
    torch.testing.assert_close(after.candidates.norm(dim=-1), torch.ones_like(scores))
    assert torch.equal(after.query, encoded.query) and torch.equal(after.mask, encoded.mask)


@pytest.mark.parametrize("left", [0, 1, 2, 5])
def test_padding_never_counts_among_the_best(left):
    encoded, scores = drawn()
    mask = torch.arange(POOL).expand(2, POOL) < left
    after = built()(replace(encoded, mask=mask), scores.masked_fill(~mask, 100.0))
    expected = best(scores.masked_fill(~mask, -100.0), min(TOP, left)) if left else torch.zeros_like(mask)
    assert torch.equal(changed(encoded, after), expected)


@pytest.mark.parametrize("top_m", [TOP, POOL, 2 * POOL])
def test_padding_the_pool_changes_nothing(top_m):
    encoded, scores = drawn()
    padded = Encoded(
        encoded.query,
        functional.pad(encoded.candidates, (0, 0, 0, 4), value=30.0),
        functional.pad(encoded.mask, (0, 4), value=False),
    )
    refinement = built(top_m=top_m)
    found = refinement(padded, functional.pad(scores, (0, 4), value=50.0)).candidates
    torch.testing.assert_close(found[:, :POOL], refinement(encoded, scores).candidates)
    assert torch.equal(found[:, POOL:], padded.candidates[:, POOL:])


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31 - 1))
def test_permuting_the_pool_permutes_the_result(seed):
    (encoded, scores), refinement = drawn(seed), built()
    order = torch.randperm(POOL, generator=torch.Generator().manual_seed(seed))
    permuted = Encoded(encoded.query, encoded.candidates[:, order], encoded.mask[:, order])
    found = refinement(permuted, scores[:, order]).candidates
    torch.testing.assert_close(found, refinement(encoded, scores).candidates[:, order])


def test_the_best_see_the_query_and_each_other_but_not_the_rest():
    encoded, scores = drawn()
    refinement, other = built(), drawn(seed=1)[0]
    found, order = refinement(encoded, scores).candidates, scores.argsort(descending=True)[0]

    def moved(different: Encoded, position: torch.Tensor) -> float:
        return float((refinement(different, scores).candidates - found)[0, position].norm().detach())

    def with_other_candidate(position: torch.Tensor) -> Encoded:
        row = torch.arange(POOL)[:, None] == position
        return replace(encoded, candidates=torch.where(row, other.candidates, encoded.candidates))

    assert moved(replace(encoded, query=other.query), order[0]) > 1e-3
    assert moved(with_other_candidate(order[1]), order[0]) > 1e-3
    assert moved(with_other_candidate(order[TOP]), order[0]) == 0


def test_gradients_reach_every_parameter_and_all_that_was_encoded():
    torch.manual_seed(0)
    refinement = Refinement(HIDDEN, 4, TOP, 0.0).double()
    encoded, scores = drawn()
    for leaf in (encoded.query, encoded.candidates):
        leaf.requires_grad_()
    (refinement(encoded, scores).candidates * drawn(seed=1)[0].candidates).sum().backward()
    for name, parameter in refinement.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert (encoded.query.grad.norm(dim=-1) > 0).all()
    assert (encoded.candidates.grad.norm(dim=-1) > 0).all()


def test_dropout_acts_in_train_mode_only():
    (encoded, scores), refinement = drawn(), built(dropout=0.5)
    assert torch.equal(refinement(encoded, scores).candidates, refinement(encoded, scores).candidates)
    refinement.train()
    assert not torch.equal(refinement(encoded, scores).candidates, refinement(encoded, scores).candidates)
