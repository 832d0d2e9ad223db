"""Training a policy that retrieves from a whole bank: it starts as similarity, and learns on what it retrieves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_matching import GRPO, OPTIMIZER, RETRIEVER, Matching, small_policy, small_run

from shotsmith.checkpoints.native import load_policy
from shotsmith.checkpoints.ranking import best_checkpoint
from shotsmith.recipe import GrpoSettings, RceSettings, SupervisedSettings
from shotsmith.training.groups import located
from shotsmith.training.grpo import train_grpo
from shotsmith.training.imitation import SupervisedData, train_rce, train_supervised
from shotsmith.training.rollouts import on_policy
from shotsmith.training.validation import Validation


def retriever(**changes):
    return small_policy(**(RETRIEVER | changes))


def train(folder, task, policy, validation=None, rollouts=None, **changes):
    values = {"epochs": 2, "steps_per_epoch": 3, "queries_per_step": 8, "num_generations": 6, "shots": (1, 2)}
    settings = GrpoSettings(**(GRPO | values | {"learning_rate": 3e-3} | changes))
    run = small_run(folder, "grpo", policy=policy)
    return train_grpo(policy, task.inputs, task.score, validation or Validation(), settings, run, rollouts=rollouts)


def test_greedy_reward_on_new_queries_rises_clearly_from_that_of_similarity_search(tmp_path):
    task, unseen, policy = Matching.draw(200, 0, pool=None), Matching.draw(200, 1, pool=None), retriever()
    before = unseen.greedy_reward(policy)
    rows = train(tmp_path, task, policy, unseen.validation(), epochs=3, steps_per_epoch=12, queries_per_step=16)
    assert rows[0]["val_reward"] == before
    assert rows[-1]["val_reward"] == unseen.greedy_reward(policy) > before + 0.3
    assert task.asked > 0


def test_the_start_is_a_row_and_a_checkpoint_and_can_be_the_best(tmp_path):
    rewards = iter([0.9, 0.1, 0.5])
    validation = Validation(answered=lambda _policy: {"val/reward": next(rewards)})
    policy = retriever()
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    rows = train(tmp_path, Matching.draw(20, 0, pool=None), policy, validation)
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert best_checkpoint(rows, 0, "grpo")["epoch"] == 0
    start, manifest = load_policy(tmp_path / "seed-0" / "grpo" / "epoch-000")
    assert manifest.epoch == 0
    assert all(torch.equal(before[name], value) for name, value in start.state_dict().items())


@pytest.mark.parametrize("length", ["fixed", "stop"])
@pytest.mark.parametrize("distinct", [False, True])
def test_the_behaviour_is_the_probability_of_what_was_chosen_from_the_recorded_shortlists(length, distinct):
    task, policy = Matching.draw(6, 0, pool=None), retriever(length=length)
    settings = GrpoSettings(num_generations=5, shots=(1, 3), sampling={"distinct": distinct})
    source = on_policy(policy, task.inputs, task.score, settings, torch.Generator().manual_seed(0), "here")
    groups = source(list(range(6)), 0)
    assert groups.shortlists.shape == (6, 5, 3, 20)
    found = policy.log_prob(task.inputs.batch(groups.rows.numpy(), groups.shortlists), groups.sequences).sum(-1)
    torch.testing.assert_close(groups.behaviour, found.detach(), atol=1e-5, rtol=1e-5)


def test_the_first_choice_is_shown_next_to_the_query_where_the_policy_chooses_outwards():
    task, asked = Matching.draw(6, 0, pool=None), {}

    def scorer(pairs, _origin):
        asked.update(dict.fromkeys(pairs))
        return [0.0] * len(pairs)

    for order in ("outwards", "inwards"):
        asked.clear()
        policy = retriever(order=order)
        settings = GrpoSettings(num_generations=5, shots=(3,))
        groups = on_policy(policy, task.inputs, scorer, settings, torch.Generator().manual_seed(0), "")([0, 1], 0)
        rows = groups.shortlists.long().gather(-1, groups.sequences[..., None]).squeeze(-1)
        chosen = {(query, tuple(one)) for query, group in enumerate(rows.tolist()) for one in group}
        shown = {(query, one[::-1] if order == "outwards" else one) for query, one in chosen}
        assert set(asked) == shown


def test_recorded_rollouts_keep_their_demonstrations_when_they_are_located():
    task, policy = Matching.draw(40, 0, pool=None), retriever()
    groups = task.recorded(3, policy=policy)
    shown = [[sequence for sequence in group if sequence] for group in groups.shown(policy.outwards)]
    for query, sequences in enumerate(shown):
        rows = task.allowed(query)
        assert sequences == [one for p in range(3) for one in ((rows[p],), (rows[p], rows[p + 1]))]
    assert located(groups[:0], policy, task.inputs) is not None


def test_recorded_rollouts_teach_over_a_bank_too(tmp_path):
    task, policy = Matching.draw(100, 0, pool=None), retriever()
    rollouts = task.recorded(8, policy=policy)
    rows = train(
        tmp_path,
        task,
        policy,
        Validation(task.inputs, rollouts, task.validation().answered),
        rollouts,
        epochs=4,
        steps_per_epoch=8,
        sampling={"source": "recorded"},
    )
    assert rows[-1]["val_reward"] > rows[0]["val_reward"] + 0.1
    assert all(np.isfinite(row["val_loss"]) for row in rows)


@pytest.mark.parametrize("phase", ["supervised", "rce"])
def test_imitation_works_over_a_bank_and_starts_from_the_start(tmp_path, phase):
    task, unseen, policy = Matching.draw(150, 0, pool=None), Matching.draw(150, 1, pool=None), retriever()
    settings = OPTIMIZER | {"epochs": 5, "learning_rate": 5e-3, "queries_per_step": 16}
    run = small_run(tmp_path, phase, policy=policy)
    if phase == "supervised":
        beams = located(task.beams(), policy, task.inputs)
        data = SupervisedData(task.inputs, beams)
        rows = train_supervised(policy, data, unseen.validation(), SupervisedSettings(**settings), run)
    else:
        groups = task.recorded(8, policy=policy)
        rows = train_rce(policy, task.inputs, groups, unseen.validation(), RceSettings(**settings), run)
    assert [row["epoch"] for row in rows] == list(range(6))
    assert max(row["val_reward"] for row in rows[1:]) > rows[0]["val_reward"] + 0.1
