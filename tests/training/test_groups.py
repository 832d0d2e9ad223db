from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from shotsmith.errors import InputError
from shotsmith.policies.protocol import STOP
from shotsmith.records import Rollout
from shotsmith.training.groups import Groups, concatenate, from_beams, from_rollouts


def groups_of(queries: int = 5) -> Groups:
    """Groups of growing size; the first rollout of each comes from a known policy."""
    return from_rollouts(
        Rollout(q, (g, q + 1)[: 1 + q % 2], float(q + g), None if g else -0.5 * q)
        for q in range(queries)
        for g in range(q + 1)
    )


def assert_equal(one: Groups, other: Groups) -> None:
    for field in dataclasses.fields(Groups):
        torch.testing.assert_close(getattr(one, field.name), getattr(other, field.name), equal_nan=True, rtol=0, atol=0)


def test_rollouts_are_grouped_by_query_and_padded():
    groups = from_rollouts([Rollout(5, (1, 2), 0.5), Rollout(3, (4,), 1.0), Rollout(5, (0,), 0.25)])
    assert groups.rows.tolist() == [3, 5]
    assert groups.sequences.tolist() == [[[4, -1], [-1, -1]], [[1, 2], [0, -1]]]
    assert groups.values.tolist() == [[1.0, 0.0], [0.5, 0.25]]
    assert groups.valid.tolist() == [[True, False], [True, True]]


def test_a_failed_rollout_is_kept_but_never_valid():
    groups = from_rollouts([Rollout(0, (1,), None), Rollout(0, (2,), 0.0)])
    assert groups.valid.tolist() == [[False, True]]
    assert groups.sequences.tolist() == [[[1], [2]]]


def test_a_query_with_failures_only_is_left_out():
    assert from_rollouts([Rollout(0, (1,), None), Rollout(1, (2,), 0.0)]).rows.tolist() == [1]


@pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_number_is_refused(reward):
    with pytest.raises(InputError, match=r"query 3: the reward of the sequence \(1, 2\) is"):
        from_rollouts([Rollout(3, (1, 2), reward)])


def test_the_order_of_a_sequence_is_part_of_it():
    assert from_rollouts([Rollout(0, (1, 2), 1.0), Rollout(0, (2, 1), 0.0)]).sequences.tolist() == [[[1, 2], [2, 1]]]


def test_what_the_policy_thought_that_chose_a_sequence_is_kept_where_it_is_known():
    groups = from_rollouts([Rollout(0, (1,), 0.0, -3.5), Rollout(0, (2,), 1.0), Rollout(1, (2,), 1.0, 0.0)])
    assert groups.behaviour.nan_to_num(99.0).tolist() == [[-3.5, 99.0], [0.0, 99.0]]
    assert groups.weights.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_each_query_with_beams_weighs_the_same():
    groups = from_beams({0: [(1, 2), (2, 1)], 1: [(3, 0)], 2: []})
    assert groups.rows.tolist() == [0, 1]
    assert groups.values.tolist() == [[0.5, 0.5], [1.0, 0.0]]


def test_an_empty_sequence_cannot_be_trained_on():
    with pytest.raises(InputError, match="query 4"):
        from_rollouts([Rollout(4, (), 1.0)])


def test_where_a_policy_can_stop_short_sequences_end_by_its_choice_and_long_ones_by_themselves():
    rollouts = [Rollout(0, (), 1.0), Rollout(0, (3,), 1.0), Rollout(0, (3, 1), 1.0)]
    assert from_rollouts(rollouts, stop_below=2).sequences.tolist() == [[[STOP, -1], [3, STOP], [3, 1]]]
    assert from_beams({0: [(), (3,)]}, stop_below=2).sequences.tolist() == [[[STOP, -1], [3, STOP]]]


def test_no_rollouts_make_no_groups():
    groups = from_rollouts([])
    assert len(groups) == 0
    assert groups.sequences.shape == (0, 1, 1)


def test_groups_can_be_cut_and_joined_again():
    groups = groups_of()
    assert_equal(concatenate([groups[:2], groups[torch.tensor([2, 3, 4])]]), groups)


def test_groups_of_other_sizes_and_lengths_can_be_joined():
    small, large = (
        from_rollouts([Rollout(0, (1,), 2.0, -1.0)]),
        from_rollouts([Rollout(1, (p, 2), 0.5) for p in (0, 1)]),
    )
    joined = concatenate([small, large])
    assert joined.sequences.tolist() == [[[1, -1], [-1, -1]], [[0, 2], [1, 2]]]
    assert joined.valid.tolist() == [[True, False], [True, True]]
    assert joined.behaviour.nan_to_num(99.0).tolist() == [[-1.0, 99.0], [99.0, 99.0]]
    assert joined.values.tolist() == [[2.0, 0.0], [0.5, 0.5]]


def test_a_mask_only_takes_rollouts_away():
    groups = from_rollouts([Rollout(0, (1,), 1.0), Rollout(0, (2,), None), Rollout(0, (3,), 1.0)])
    kept = torch.tensor([[False, True, True]])
    assert groups.where(kept).valid.tolist() == [[False, False, True]]
    assert groups.valid.tolist() == [[True, False, True]]


def test_other_values_leave_everything_else_as_it_is():
    groups = groups_of()
    doubled = groups.with_values(2 * groups.values)
    assert_equal(doubled.with_values(groups.values), groups)
    assert torch.equal(doubled.values, 2 * groups.values)
