from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.training.importance import effective_sample_size, log_ratios, truncated_weights

NEW = torch.tensor([[[-1.0, -2.0, -9.0], [-0.5, -9.0, -9.0], [-9.0, -9.0, -9.0]]])
OLD = torch.tensor([[[-1.5, -1.0, -3.0], [-1.0, -3.0, -3.0], [-3.0, -3.0, -3.0]]])
STEPS = torch.tensor([[[True, True, False], [True, False, False], [False, False, False]]])


def test_each_step_has_its_ratio_and_steps_that_do_not_count_have_one():
    assert log_ratios(NEW, OLD, STEPS, "step").tolist() == [[[0.5, -1.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]]


def test_the_ratio_of_a_sequence_is_the_product_over_its_steps():
    assert log_ratios(NEW, OLD, STEPS, "sequence").tolist() == [[[-0.5], [0.5], [0.0]]]


@pytest.mark.parametrize("level", ["step", "sequence"])
def test_log_ratios_are_bounded_and_what_does_not_count_may_be_anything(level):
    new = torch.tensor([[[300.0, math.inf], [-300.0, math.nan]]])
    steps = torch.tensor([[[True, False], [True, False]]])
    found = log_ratios(new, torch.zeros(1, 2, 2), steps, level)
    assert found[0, :, 0].tolist() == [20.0, -20.0]
    assert found.isfinite().all()


def weights_of(old, behaviour, max_weight=2.0, steps=None):
    old = torch.tensor([old])
    steps = torch.ones(old.shape, dtype=torch.bool) if steps is None else torch.tensor([steps])
    return truncated_weights(old, torch.tensor([behaviour]), steps, max_weight)[0].tolist()


def test_weights_are_ratios_of_whole_sequences_up_to_the_cap():
    old = [[math.log(0.5), math.log(0.4)]] * 3
    found = weights_of(old, [math.log(0.4), math.log(0.2), math.log(0.05)])
    assert found == pytest.approx([0.5, 1.0, 2.0])
    assert weights_of(old[:1], [math.log(0.05)], max_weight=9.0) == pytest.approx([4.0])


def test_an_unknown_behaviour_weighs_one_even_under_a_lower_cap():
    assert weights_of([[-1.0], [-1.0]], [math.nan, -1.0], max_weight=0.5) == [1.0, 0.5]


def test_steps_that_do_not_count_are_not_in_the_weights():
    assert weights_of([[-1.0, -math.inf]], [-1.0], steps=[[True, False]]) == [1.0]


def test_weights_have_no_gradient_and_stay_finite():
    old = torch.zeros(1, 2, 1, requires_grad=True)
    found = truncated_weights(old, torch.tensor([[-1e9, 1e9]]), torch.ones(1, 2, 1, dtype=torch.bool), 1e30)
    assert not found.requires_grad
    assert found[0].tolist() == pytest.approx([math.exp(20), math.exp(-20)], rel=1e-5)


def test_truncated_weights_without_a_binding_cap_turn_one_expectation_into_another():
    behaviour, old = torch.tensor([[0.5, 0.3, 0.2]]), torch.tensor([[0.2, 0.3, 0.5]])
    values = torch.tensor([[1.0, -2.0, 4.0]])
    weights = truncated_weights(old.log()[..., None], behaviour.log(), torch.ones(1, 3, 1, dtype=torch.bool), 10.0)
    torch.testing.assert_close((behaviour * weights * values).sum(), (old * values).sum())


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=9))
def test_the_effective_size_lies_between_one_and_all_of_them(weights):
    share = effective_sample_size(torch.tensor(weights), torch.ones(len(weights), dtype=torch.bool))
    assert share == pytest.approx(sum(weights) ** 2 / len(weights) / sum(w * w for w in weights), rel=1e-4)
    assert 1 / len(weights) - 1e-5 <= share <= 1 + 1e-5


def test_the_effective_size_counts_equal_weights_fully_and_leaves_out_the_others():
    weights, counted = torch.tensor([[3.0, 3.0, 99.0]]), torch.tensor([[True, True, False]])
    assert effective_sample_size(weights, counted) == 1.0
