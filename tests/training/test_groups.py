from __future__ import annotations

import pytest
import torch

from shotsmith.errors import InputError
from shotsmith.records import Rollout
from shotsmith.training.groups import concatenate, from_beams, from_rollouts


def test_rollouts_are_grouped_by_query_and_padded():
    groups = from_rollouts([Rollout(5, (1, 2), 0.5), Rollout(3, (4,), 1.0), Rollout(5, (0,), 0.25)])
    assert groups.rows.tolist() == [3, 5]
    assert groups.sequences.tolist() == [[[4, -1], [-1, -1]], [[1, 2], [0, -1]]]
    assert groups.values.tolist() == [[1.0, 0.0], [0.5, 0.25]]
    assert groups.valid.tolist() == [[True, False], [True, True]]


def test_a_failed_rollout_is_kept_but_never_valid():
    groups = from_rollouts([Rollout(0, (1,), None), Rollout(0, (2,), 0.0)])
    assert groups.valid.tolist() == [[False, True]]


def test_a_query_with_failures_only_is_left_out():
    assert from_rollouts([Rollout(0, (1,), None), Rollout(1, (2,), 0.0)]).rows.tolist() == [1]


def test_the_order_of_a_sequence_is_part_of_it():
    assert from_rollouts([Rollout(0, (1, 2), 1.0), Rollout(0, (2, 1), 0.0)]).sequences.tolist() == [[[1, 2], [2, 1]]]


def test_each_query_with_beams_weighs_the_same():
    groups = from_beams({0: [(1, 2), (2, 1)], 1: [(3, 0)], 2: []})
    assert groups.rows.tolist() == [0, 1]
    assert groups.values.tolist() == [[0.5, 0.5], [1.0, 0.0]]


def test_an_empty_sequence_cannot_be_trained_on():
    with pytest.raises(InputError, match="query 4"):
        from_rollouts([Rollout(4, (), 1.0)])


def test_groups_can_be_cut_and_joined_again():
    groups = from_rollouts([Rollout(q, (q, q + 1), float(q)) for q in range(5)])
    joined = concatenate([groups[:2], groups[torch.tensor([2, 3, 4])]])
    assert torch.equal(joined.sequences, groups.sequences)
    assert torch.equal(joined.values, groups.values)
