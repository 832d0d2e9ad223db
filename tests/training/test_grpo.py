from __future__ import annotations

import math
import re

import pytest
import torch
from small_matching import GRPO, Matching, small_policy, small_run

from shotsmith.errors import InputError, TrainingError
from shotsmith.recipe import GrpoSettings
from shotsmith.records import Rollout
from shotsmith.training.groups import from_rollouts
from shotsmith.training.grpo import train_grpo
from shotsmith.training.validation import Validation


def settings_of(**changes):
    values = {"epochs": 2, "steps_per_epoch": 3, "queries_per_step": 8, "num_generations": 6, "shots": (1, 2)}
    return GrpoSettings(**(GRPO | values | {"learning_rate": 3e-3} | changes))


def train(folder, task=None, policy=None, scorer=None, validation=None, **changes):
    task = Matching.draw(40, seed=0) if task is None else task
    policy = small_policy() if policy is None else policy
    settings = settings_of(**changes)
    return train_grpo(
        policy, task.inputs, scorer or task.score, validation or Validation(), settings, small_run(folder, "grpo")
    )


def test_greedy_reward_on_new_queries_rises_clearly(tmp_path):
    task, unseen, policy = Matching.draw(200, seed=0), Matching.draw(200, seed=1), small_policy()
    before = unseen.greedy_reward(policy)
    rows = train(
        tmp_path, task, policy, validation=unseen.validation(), epochs=3, steps_per_epoch=12, queries_per_step=16
    )
    assert unseen.greedy_reward(policy) > before + 0.35
    assert rows[-1]["val_reward"] == unseen.greedy_reward(policy)
    assert rows[-1]["reward"] > rows[0]["reward"] + 0.1


def test_recorded_rollouts_teach_too_and_ask_nothing(tmp_path):
    task, unseen, policy = Matching.draw(200, seed=0), Matching.draw(200, seed=1), small_policy()
    before = unseen.greedy_reward(policy)
    rollouts = from_rollouts(Rollout(q, (p,), task.reward(q, (p,))) for q in range(200) for p in range(12))

    def refuse(_pairs, _origin):
        raise AssertionError("recorded rollouts need no answers")

    settings = settings_of(epochs=3, steps_per_epoch=12, queries_per_step=16, sampling={"source": "recorded"})
    train_grpo(policy, task.inputs, refuse, Validation(), settings, small_run(tmp_path, "grpo"), rollouts=rollouts)
    assert unseen.greedy_reward(policy) > before + 0.2


def test_recorded_rollouts_must_be_there_when_asked_for(tmp_path):
    with pytest.raises(InputError, match="recorded rollouts, but there are none"):
        train(tmp_path, sampling={"source": "recorded"})


def test_kl_is_zero_before_the_first_update_and_ratios_start_at_one(tmp_path):
    """With dropout settings above 0 and a policy handed over in train mode: neither may leak into ratio or KL."""
    rows = train(tmp_path, policy=small_policy().train(), epochs=1, steps_per_epoch=1, num_iterations=1)
    assert rows[0]["kl_before_first_update"] == 0.0
    assert rows[0]["kl"] == 0.0
    assert rows[0]["ratio_max"] == rows[0]["ratio_mean"] == 1.0


def test_kl_before_the_first_update_is_logged_once_and_kl_moves_afterwards(tmp_path):
    rows = train(tmp_path)
    assert rows[0]["kl_before_first_update"] <= 1e-6
    assert "kl_before_first_update" not in rows[1]
    assert rows[1]["kl"] > rows[0]["kl"] > 0


def test_old_policy_and_reference_are_two_different_things(tmp_path):
    """In the second step the ratio starts at 1 again while the KL to the starting policy does not."""
    rows = train(tmp_path, epochs=2, steps_per_epoch=1, num_iterations=1)
    assert rows[1]["ratio_max"] == 1.0
    assert rows[1]["kl"] > 1e-6


def test_entering_groups_always_carry_signal(tmp_path):
    for row in train(tmp_path, epochs=3):
        assert row["group/frac_signal"] == 1.0
        assert row["adv_std"] > 0.5
        assert row["frac_reward_zero_std"] > 0
        assert row["group/frac_all_good"] + row["group/frac_all_bad"] + row["group/frac_mixed"] == pytest.approx(1.0)


def test_groups_without_signal_are_replaced_by_other_queries(tmp_path):
    """Queries of even number are always answered right: only the odd ones can fill the batch."""
    task, asked = Matching.draw(40, seed=0), []

    def scorer(pairs, _origin):
        asked.extend(query for query, _ in pairs)
        return [1.0 if query % 2 == 0 else float(sequence[0] % 2) for query, sequence in pairs]

    rows = train(tmp_path, task, scorer=scorer, epochs=1, steps_per_epoch=1, advantage={"max_resamples": 20})
    assert rows[0]["group/entered"] == 8
    assert rows[0]["group/sampled"] > 8
    assert len(set(asked)) == rows[0]["group/sampled"]
    assert rows[0]["frac_reward_zero_std"] == pytest.approx(1 - 8 / rows[0]["group/sampled"])


@pytest.mark.parametrize(("reward", "share"), [(1.0, "group/frac_all_good"), (0.0, "group/frac_all_bad")])
def test_when_every_group_is_saturated_nothing_is_learned_and_the_row_says_so(tmp_path, reward, share):
    policy = small_policy()
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    asked = []

    def scorer(pairs, _origin):
        asked.append(len({query for query, _ in pairs}))
        return [reward] * len(pairs)

    rows = train(tmp_path, policy=policy, scorer=scorer, epochs=1, advantage={"max_resamples": 2})
    assert asked == [8] * 3 * 3
    assert all(torch.equal(before[name], value) for name, value in policy.state_dict().items())
    assert rows[0]["frac_reward_zero_std"] == rows[0][share] == 1.0
    assert not {"ppo_loss", "kl", "adv_std", "train_loss", "group/frac_signal"} & set(rows[0])


def test_failures_are_counted_and_leave_the_training_as_if_the_rest_were_all(tmp_path):
    seen = []

    def scorer(pairs, _origin):
        rewards = [None if sum(sequence) % 3 == 0 else 5.0 + sum(sequence) % 2 for _, sequence in pairs]
        seen.extend(rewards)
        return rewards

    rows = train(tmp_path, scorer=scorer, epochs=1, steps_per_epoch=1, shots=(2,), advantage={"max_resamples": 0})
    assert rows[0]["failures"] >= seen.count(None) > 0
    assert 5.0 <= rows[0]["reward"] <= 6.0


def test_a_failed_rollout_changes_nothing_of_what_its_group_teaches(tmp_path):
    task, weights = Matching.draw(8, seed=0), []
    answered = [Rollout(q, (p,), float(p % 2)) for q in range(8) for p in range(4)]
    for name, rollouts in (("without", answered), ("with", [*answered, *(Rollout(q, (7,), None) for q in range(8))])):
        policy, settings = small_policy(), settings_of(sampling={"source": "recorded"}, beta=1.0, entropy_coef=1.0)
        train_grpo(
            policy,
            task.inputs,
            task.score,
            Validation(),
            settings,
            small_run(tmp_path / name, "grpo"),
            rollouts=from_rollouts(rollouts),
        )
        weights.append(policy.encoder.input_proj.weight.detach())
    torch.testing.assert_close(*weights, atol=1e-5, rtol=1e-4)


def test_every_epoch_samples_anew(tmp_path):
    asked = {}

    def scorer(pairs, origin):
        asked.setdefault(origin, []).extend(pairs)
        return [float(sequence[0] % 2) for _, sequence in pairs]

    train(tmp_path, scorer=scorer, steps_per_epoch=5, learning_rate=1e-12, shots=(1,), advantage={"max_resamples": 0})
    first, second = (sorted(pairs) for pairs in asked.values())
    assert {query for query, _ in first} == {query for query, _ in second} == set(range(40))
    assert first != second


def test_when_all_completions_fail_there_is_no_reward_and_no_nan(tmp_path):
    row = train(tmp_path, scorer=lambda pairs, _origin: [None] * len(pairs), epochs=1, advantage={"max_resamples": 0})[
        0
    ]
    assert row["failures"] == 3 * 8 * 6
    assert "reward" not in row
    assert "frac_reward_zero_std" not in row


def test_every_batch_mixes_the_lengths_of_the_recipe(tmp_path):
    lengths = []

    def scorer(pairs, _origin):
        lengths.append({len(sequence) for _, sequence in pairs})
        return [float(sequence[0] % 2) for _, sequence in pairs]

    train(tmp_path, scorer=scorer, epochs=1, shots=(1, 3, 4), advantage={"max_resamples": 0})
    assert lengths == [{1, 3, 4}] * 3


def test_the_scorer_is_asked_for_each_pair_once_a_draw_under_the_epochs_name(tmp_path):
    origins = []

    def scorer(pairs, origin):
        assert len(pairs) == len(set(pairs))
        origins.append(origin)
        return [float(sequence[0] % 2) for _, sequence in pairs]

    train(tmp_path, scorer=scorer, shots=(1,), num_generations=12, advantage={"max_resamples": 0})
    assert origins == ["seed-0/grpo/epoch-001"] * 3 + ["seed-0/grpo/epoch-002"] * 3


def test_rows_hold_the_names_that_are_promised(tmp_path):
    task = Matching.draw(40, seed=0)
    rollouts = from_rollouts(Rollout(q, (p,), task.reward(q, (p,))) for q in range(40) for p in range(4))
    validation = Validation(task.inputs, rollouts, lambda _policy: {"val/reward": 0.5, "other": math.nan})
    row = train(tmp_path, task, validation=validation, epochs=1)[0]
    promised = """seed phase epoch train_loss val_loss ppo_loss kl adv_std adv_max beta reward reward_std
        frac_reward_zero_std advantage_mean advantage_std advantage_max advantage_min entropy clip_ratio/low_mean
        clip_ratio/high_mean clip_ratio/region_mean ratio_mean ratio_max ess grad_norm learning_rate
        group/frac_mixed group/frac_all_good group/frac_all_bad group/frac_signal val/loss val/reward val_reward loss
        failures time/seconds kl_before_first_update""".split()
    assert [name for name in promised if name not in row] == []
    assert list(row)[:3] == ["seed", "phase", "epoch"]
    assert "other" not in row
    assert all(math.isfinite(value) for value in row.values() if not isinstance(value, str))


def test_the_loss_is_the_sum_of_its_three_parts(tmp_path):
    row = train(tmp_path, epochs=1, beta=0.5, entropy_coef=0.25)[0]
    assert row["loss"] == pytest.approx(row["ppo_loss"] + 0.5 * row["kl"] - 0.25 * row["entropy"], abs=1e-6)


def test_an_epoch_count_of_zero_does_nothing(tmp_path):
    assert train(tmp_path, epochs=0) == []


def train_on_broken_embeddings(folder, broken, steps):
    """Recorded rollouts of 8 queries, 4 in a step; the embeddings of the first `broken` are not numbers."""
    task, policy = Matching.draw(8, seed=0), small_policy()
    task.inputs.queries[:broken] = math.nan
    rollouts = from_rollouts(Rollout(q, (p,), float(p % 2)) for q in range(8) for p in range(4))
    settings = settings_of(
        epochs=1, steps_per_epoch=steps, queries_per_step=4, num_iterations=1, sampling={"source": "recorded"}
    )
    rows = train_grpo(
        policy, task.inputs, task.score, Validation(), settings, small_run(folder, "grpo"), rollouts=rollouts
    )
    assert all(value.isfinite().all() for value in policy.state_dict().values())
    return rows[0]


def test_updates_without_a_finite_loss_are_skipped_and_counted(tmp_path):
    row = train_on_broken_embeddings(tmp_path, broken=1, steps=6)
    assert row["skipped_updates"] == 3
    assert all(math.isfinite(value) for value in row.values() if not isinstance(value, str))


def test_training_ends_when_no_update_has_a_finite_loss(tmp_path):
    assert train_on_broken_embeddings(tmp_path / "a", broken=8, steps=19)["skipped_updates"] == 19
    with pytest.raises(TrainingError, match="20 updates in a row"):
        train_on_broken_embeddings(tmp_path / "b", broken=8, steps=20)


def test_training_uses_no_global_random_state(tmp_path):
    torch.manual_seed(1)
    first = train(tmp_path / "a")
    torch.manual_seed(2)
    second = train(tmp_path / "b")
    assert re.sub(r"'time/seconds': [\d.e-]+", "", str(first)) == re.sub(r"'time/seconds': [\d.e-]+", "", str(second))
