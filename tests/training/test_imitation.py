"""Supervised training and RCE."""

from __future__ import annotations

import pytest
import torch
from small_matching import OPTIMIZER, Matching, small_policy, small_run

from shotsmith.errors import InputError
from shotsmith.recipe import RceSettings, SupervisedSettings
from shotsmith.records import Rollout
from shotsmith.training.advantages import standardise
from shotsmith.training.groups import Groups, from_beams, from_rollouts
from shotsmith.training.imitation import SupervisedData, tau_at, train_rce, train_supervised, weighted_cross_entropy
from shotsmith.training.validation import Validation, validation_loss

SIX_EPOCHS = OPTIMIZER | {"epochs": 6, "learning_rate": 5e-3, "queries_per_step": 16}


def right_sequences(task):
    return {q: [(p,) for p in range(12) if task.reward(q, (p,))] for q in range(len(task.queries))}


def rollouts_of(task, positions=8):
    return from_rollouts(
        Rollout(q, (p,), task.reward(q, (p,))) for q in range(len(task.queries)) for p in range(positions)
    )


def supervised(folder, policy, task, validation=None, **changes):
    data = SupervisedData(task.inputs, from_beams(right_sequences(task)))
    settings = SupervisedSettings(
        **(OPTIMIZER | {"epochs": 6, "learning_rate": 5e-3, "queries_per_step": 16} | changes)
    )
    return train_supervised(policy, data, validation or Validation(), settings, small_run(folder, "supervised"))


def rce(folder, policy, task, validation=None, **changes):
    settings = RceSettings(**(SIX_EPOCHS | changes))
    return train_rce(
        policy, task.inputs, rollouts_of(task), validation or Validation(), settings, small_run(folder, "rce")
    )


@pytest.mark.parametrize("train", [supervised, rce])
def test_reward_on_new_queries_rises_and_the_losses_fall(tmp_path, train):
    task, unseen, policy = Matching.draw(150, seed=0), Matching.draw(150, seed=1), small_policy()
    before = unseen.greedy_reward(policy)
    validation = Validation(unseen.inputs, rollouts_of(unseen), unseen.validation().answered)
    rows = train(tmp_path, policy, task, validation)
    assert unseen.greedy_reward(policy) > before + 0.2
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert rows[-1]["val_loss"] == rows[-1]["val/loss"] == validation_loss(policy, unseen.inputs, validation.rollouts)
    assert rows[-1]["val_reward"] == unseen.greedy_reward(policy)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("train", [supervised, rce])
def test_dropout_is_on_while_they_train_and_off_afterwards(tmp_path, train):
    task, modes, policy = Matching.draw(20, seed=0), [], small_policy()
    policy.encoder.dropout.register_forward_pre_hook(lambda module, _inputs: modes.append(module.training))
    train(tmp_path, policy, task, epochs=1)
    assert modes
    assert all(modes)
    assert not policy.training


def test_training_stops_when_the_reward_does_not_rise_any_more(tmp_path):
    rewards = iter([0.1, 0.3, 0.3, 0.2, 0.9])
    validation = Validation(answered=lambda _policy: {"val/reward": next(rewards)})
    rows = supervised(tmp_path, small_policy(), Matching.draw(20, seed=0), validation, epochs=5, patience=2)
    assert [row["val_reward"] for row in rows] == [0.1, 0.3, 0.3, 0.2]


def test_the_learning_rate_ends_at_the_share_that_is_left_of_it(tmp_path):
    rates = {"learning_rate": 4e-3, "final_learning_rate_share": 0.25, "schedule": "cosine", "queries_per_step": 20}
    rows = supervised(tmp_path, small_policy(), Matching.draw(20, seed=0), epochs=5, warmup_steps=2, **rates)
    assert [row["learning_rate"] for row in rows] == pytest.approx([2e-3, 4e-3, 3.25e-3, 1.75e-3, 1e-3])


def test_a_policy_that_can_stop_learns_when_to(tmp_path):
    """It is shown one demonstration, then STOP, though there would be room for two."""
    task, policy = Matching.draw(60, seed=0), small_policy(length="stop")
    data = SupervisedData(task.inputs, task.beams(stop_below=2))
    settings = SupervisedSettings(epochs=8, learning_rate=1e-2, queries_per_step=10, **OPTIMIZER)
    train_supervised(policy, data, Validation(), settings, small_run(tmp_path, "supervised", policy=policy))
    chosen = policy.greedy(task.inputs.batch(range(60)), 2)
    assert ((chosen >= 0).sum(-1) == 1).float().mean() > 0.9


def test_weights_of_beams_count():
    distributions = torch.randn(1, 2, 1, 4, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    sequences, valid = torch.tensor([[[0], [1]]]), torch.ones(1, 2, dtype=torch.bool)
    nothing = torch.full((1, 2), torch.nan)
    batch = Groups(torch.tensor([0]), sequences, torch.tensor([[3.0, 1.0]]), valid, nothing, torch.ones(1, 2))
    expected = -(3 * distributions[0, 0, 0, 0] + distributions[0, 1, 0, 1]) / 4
    torch.testing.assert_close(weighted_cross_entropy(distributions, batch), expected)


def test_tau_falls_linearly_from_the_first_step_to_the_last():
    settings = RceSettings(tau_start=2.0, tau_end=0.5)
    assert [tau_at(step, 4, settings) for step in range(4)] == pytest.approx([2.0, 1.5, 1.0, 0.5])
    assert tau_at(0, 1, settings) == 2.0


def test_standardised_rewards_are_clamped_and_flat_groups_stay_at_zero():
    rewards = torch.tensor([[1.0] + [0.0] * 15, [0.3] * 16])
    found = standardise(rewards, torch.ones(2, 16, dtype=torch.bool))
    assert found[0, 0] == 3.0
    assert found[1].tolist() == [0.0] * 16
    torch.testing.assert_close(standardise(rewards[:1, 10:], torch.ones(1, 6, dtype=torch.bool)), torch.zeros(1, 6))


def test_validation_loss_does_not_depend_on_how_queries_are_batched():
    task, policy = Matching.draw(300, seed=0), small_policy()
    rollouts = rollouts_of(task, 4)
    parts = [validation_loss(policy, task.inputs, rollouts[part]) for part in (slice(0, 60), slice(60, 300))]
    assert validation_loss(policy, task.inputs, rollouts) == pytest.approx((60 * parts[0] + 240 * parts[1]) / 300)


def test_nothing_to_train_on_is_an_error(tmp_path):
    task = Matching.draw(5, seed=0)
    settings, run = RceSettings(epochs=1), small_run(tmp_path, "rce")
    with pytest.raises(InputError, match="nothing to train the rce phase on"):
        train_rce(small_policy(), task.inputs, from_rollouts([]), Validation(), settings, run)
