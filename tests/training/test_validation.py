from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.training.validation import should_stop


def rows(*rewards):
    return [{"epoch": i + 1} | ({} if r is None else {"val_reward": r}) for i, r in enumerate(rewards)]


@pytest.mark.parametrize(
    ("rewards", "stops"),
    [
        ((), False),
        ((0.5,), False),
        ((0.5, 0.4), False),
        ((0.5, 0.4, 0.3), True),
        ((0.5, 0.5, 0.5), True),
        ((0.5, 0.4, 0.6), False),
        ((0.5, 0.4, 0.6, 0.5, 0.6), True),
        ((0.1, 0.2, 0.3, 0.4), False),
    ],
)
def test_training_stops_after_two_epochs_without_a_better_reward(rewards, stops):
    assert should_stop(rows(*rewards), patience=2) is stops


def test_no_patience_never_stops():
    assert not should_stop(rows(0.5, 0.4, 0.3, 0.2), patience=0)


def test_epochs_without_a_validation_reward_do_not_count():
    assert not should_stop(rows(None, None, None), patience=1)
    assert not should_stop(rows(0.5, None, None, 0.4), patience=2)
    assert should_stop(rows(0.5, None, 0.3, None, 0.4), patience=2)


@given(st.lists(st.integers(0, 5), max_size=20), st.integers(1, 5))
def test_stopping_equals_counting_epochs_since_the_best(rewards, patience):
    best, since = -1, 0
    for reward in rewards:
        best, since = (reward, 0) if reward > best else (best, since + 1)
    assert should_stop(rows(*rewards), patience) is (since >= patience)
