from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.checkpoints.ranking import best_checkpoint, rank
from shotsmith.errors import InputError


def row(epoch, phase="grpo", seed=0, **metrics):
    return {"seed": seed, "phase": phase, "epoch": epoch} | metrics


@given(st.lists(st.floats(-5, 5), max_size=25))
def test_the_ten_best_come_first_highest_reward_and_lowest_loss(values):
    rows = [row(epoch, val_reward=value, val_loss=value) for epoch, value in enumerate(values, start=1)]
    assert [r["val_reward"] for r in rank(rows)] == sorted(values, reverse=True)[:10]
    assert [r["val_loss"] for r in rank(rows, "val_loss")] == sorted(values)[:10]


def test_negative_losses_are_ranked_like_others():
    rows = [row(1, val_loss=0.5), row(2, val_loss=-0.1), row(3, val_loss=-2)]
    assert [r["epoch"] for r in rank(rows, "val_loss")] == [3, 2, 1]


def test_equals_go_to_the_earlier_phase_and_epoch_whatever_the_order_of_the_rows():
    rows = [
        row(3, val_reward=1.0),
        row(1, val_reward=1.0),
        row(2, "rce", val_reward=1.0),
        row(5, "supervised", val_reward=1),
    ]
    assert [(r["phase"], r["epoch"]) for r in rank(rows)] == [("supervised", 5), ("rce", 2), ("grpo", 1), ("grpo", 3)]


def test_rows_without_the_value_are_left_out():
    rows = [row(1, val_reward=None), row(2), row(3, val_reward=float("nan")), row(4, val_reward=0)]
    assert [r["epoch"] for r in rank(rows)] == [4]


def test_top_limits_the_list():
    assert len(rank([row(e, val_reward=e) for e in range(9)], top=3)) == 3


def test_the_best_checkpoint_is_of_its_own_seed_and_phase():
    rows = [
        row(1, val_reward=0.1),
        row(2, val_reward=0.3),
        row(3, "rce", val_reward=0.9),
        row(4, seed=1, val_reward=0.8),
    ]
    assert best_checkpoint(rows, 0, "grpo")["epoch"] == 2


def test_without_a_reward_the_loss_decides_and_without_both_the_last_epoch_does():
    assert best_checkpoint([row(1, val_loss=-1.0), row(2, val_loss=0.0)], 0, "grpo")["epoch"] == 1
    assert best_checkpoint([row(1), row(2)], 0, "grpo")["epoch"] == 2


def test_a_phase_without_epochs_is_an_error():
    with pytest.raises(InputError, match="seed 0 has no epoch of phase 'rce'"):
        best_checkpoint([row(1)], 0, "rce")
