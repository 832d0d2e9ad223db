from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.recipe import AdvantageSettings
from shotsmith.training.advantages import advantages
from shotsmith.training.truncation import keep_top, kept_in_epoch

rollouts = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=8)


@given(group=rollouts, number=st.integers(2, 9))
def test_the_best_valid_rollouts_are_kept_and_of_equal_ones_the_earlier(group, number):
    rewards = torch.tensor([[float(reward) for reward, _ in group]])
    valid = torch.tensor([[valid for _, valid in group]])
    best_first = sorted((i for i, (_, valid) in enumerate(group) if valid), key=lambda i: -group[i][0])
    expected = {*best_first[:number]}
    assert {i for i, kept in enumerate(keep_top(rewards, valid, number)[0].tolist()) if kept} == expected


def test_ties_go_to_the_earlier_in_large_groups_too():
    rewards = torch.arange(200).remainder(2).float()[None]
    kept = keep_top(rewards, torch.ones(1, 200, dtype=torch.bool), 60)[0]
    assert kept.nonzero()[:, 0].tolist() == list(range(1, 120, 2))


def test_groups_are_cut_each_on_its_own():
    rewards = torch.tensor([[3.0, 2.0, 1.0], [7.0, 8.0, 9.0]])
    kept = keep_top(rewards, torch.ones(2, 3, dtype=torch.bool), 2)
    assert kept.tolist() == [[True, True, False], [False, True, True]]


def test_cutting_takes_the_signal_away():
    """What went wrong with the predecessor: the best of a group are nearly always equal."""
    rewards, valid = torch.tensor([[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]]), torch.ones(1, 6, dtype=torch.bool)
    settings = AdvantageSettings()
    assert advantages(rewards, valid, settings).signal.tolist() == [True]
    assert advantages(rewards, keep_top(rewards, valid, 3), settings).zero_std.tolist() == [True]


def test_the_last_number_stays_and_none_keeps_whole_groups():
    assert [kept_in_epoch(epoch, (3, 5)) for epoch in (1, 2, 3, 50)] == [3, 5, 5, 5]
    assert kept_in_epoch(1, ()) is None
