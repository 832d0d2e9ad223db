from __future__ import annotations

import itertools
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.training.advantages import group_advantages

rewards = st.lists(st.floats(0, 2, width=32), min_size=2, max_size=12)


def advantages_of(values, valid=None, min_std=0.05):
    valid = [True] * len(values) if valid is None else valid
    return group_advantages(torch.tensor([values]), torch.tensor([valid]), min_std)


@given(rewards)
def test_advantages_are_centred_and_keep_the_order_of_the_rewards(values):
    found = advantages_of(values).values[0]
    assert float(found.sum()) == pytest.approx(0, abs=1e-4)
    order = sorted(range(len(values)), key=values.__getitem__)
    assert all(found[a] <= found[b] + 1e-6 for a, b in itertools.pairwise(order))


def test_advantages_follow_the_formula():
    found = advantages_of([0.0, 1.0, 1.0, 2.0])
    std = statistics.stdev([0.0, 1.0, 1.0, 2.0])
    assert found.values[0].tolist() == pytest.approx([(r - 1) / (std + 0.05) for r in (0, 1, 1, 2)])
    assert float(found.reward_std[0]) == pytest.approx(std)


@given(rewards)
def test_a_group_with_signal_has_advantages_whose_spread_exceeds_one_half(values):
    found = advantages_of(values)
    if found.signal[0]:
        assert float(found.values[0].std()) > 0.5 - 1e-5
    else:
        assert statistics.stdev(values) <= 0.05 + 1e-6


@given(st.floats(0, 2, width=32), st.integers(2, 12))
def test_equal_rewards_give_no_signal_and_no_nan_even_without_damping(value, size):
    found = advantages_of([value] * size, min_std=0.0)
    assert found.zero_std.tolist() == [True]
    assert found.signal.tolist() == [False]
    assert found.values[0].tolist() == [0.0] * size


def test_failed_rollouts_are_as_if_they_were_not_there():
    with_failures = advantages_of([0.0, 9.0, 1.0, 9.0, 0.5], [True, False, True, False, True])
    without = advantages_of([0.0, 1.0, 0.5])
    assert with_failures.values[0, [0, 2, 4]].tolist() == without.values[0].tolist()
    assert with_failures.values[0, [1, 3]].tolist() == [0.0, 0.0]
    assert with_failures.reward_std.tolist() == without.reward_std.tolist()


def test_a_group_with_one_answered_rollout_has_no_signal():
    assert advantages_of([0.0, 1.0], [True, False], min_std=0.0).signal.tolist() == [False]


def test_groups_do_not_see_each_other():
    both = group_advantages(torch.tensor([[0.0, 1.0], [5.0, 5.5]]), torch.ones(2, 2, dtype=torch.bool), 0.05)
    assert both.values[0].tolist() == advantages_of([0.0, 1.0]).values[0].tolist()
    assert both.values[1].tolist() == advantages_of([5.0, 5.5]).values[0].tolist()
