"""What the schemes are for, seen from outside: the signatures they leave in the rows, and what they do to a policy."""

from __future__ import annotations

import collections
import copy
import math
from pathlib import Path

import pytest
import torch
from small_matching import GRPO, OPTIMIZER, Matching, small_policy, small_run

from shotsmith.checkpoints.native import load_policy
from shotsmith.errors import InputError, TrainingError
from shotsmith.recipe import GrpoSettings, RceSettings, SupervisedSettings, load_recipe
from shotsmith.records import Rollout
from shotsmith.training.groups import from_rollouts
from shotsmith.training.grpo import FROZEN, train_grpo
from shotsmith.training.imitation import SupervisedData, train_rce, train_supervised
from shotsmith.training.learner import Learner
from shotsmith.training.losses import MAX_IMPORTANCE_WEIGHT
from shotsmith.training.validation import Validation

SCHEME_6 = load_recipe(Path(__file__).parents[2] / "recipes" / "predecessor" / "scheme6.yaml").grpo.model_dump()


def train(folder, task=None, policy=None, scorer=None, validation=None, rollouts=None, supervised=None, **changes):
    values = {"epochs": 2, "steps_per_epoch": 3, "queries_per_step": 8, "num_generations": 6, "shots": (1, 2)}
    task, policy = task or Matching.draw(40, seed=0), policy or small_policy()
    return train_grpo(
        policy,
        task.inputs,
        scorer or task.score,
        validation or Validation(),
        GrpoSettings(**(GRPO | values | {"learning_rate": 3e-3} | changes)),
        small_run(folder, "grpo", policy=policy),
        rollouts=rollouts,
        supervised=supervised,
    )


def half_are_right(queries=40, log_prob=None):
    """Recorded rollouts of which the better half are all tied."""
    return from_rollouts(Rollout(q, (p,), float(p < 6), log_prob) for q in range(queries) for p in range(12))


# The predecessor's mistakes show


def test_keeping_the_best_takes_all_contrast_away(tmp_path):
    whole = train(tmp_path / "whole", rollouts=half_are_right(), sampling={"source": "recorded"})
    cut = train(tmp_path / "cut", rollouts=half_are_right(), sampling={"source": "recorded", "keep_top": (3, 5)})
    assert all(row["adv_std"] > 0.5 for row in whole)
    assert all(row["adv_std"] == row["adv_max"] == 0.0 for row in cut)


def test_more_is_kept_from_the_second_epoch_on(tmp_path):
    """Four of each group are right: among the best three there is no difference, among the best five there is."""
    rollouts = from_rollouts(Rollout(q, (p,), float(p < 4)) for q in range(40) for p in range(12))
    settings = {"sampling": {"source": "recorded", "keep_top": (3, 5)}, "epochs": 3}
    assert [row["adv_std"] > 0 for row in train(tmp_path, rollouts=rollouts, **settings)] == [False, True, True]


def test_dropout_in_the_ratio_reads_as_divergence_of_a_policy_from_itself(tmp_path):
    rows = [
        train(tmp_path / str(dropout), epochs=1, num_iterations=1, steps_per_epoch=1, dropout=dropout)[0]
        for dropout in (False, True)
    ]
    assert rows[0]["kl_before_first_update"] == 0.0 < rows[1]["kl_before_first_update"]
    assert rows[0]["ratio_max"] == 1.0 < rows[1]["ratio_max"]


def test_after_rce_the_supervised_reference_is_another_policy(tmp_path):
    task, supervised = Matching.draw(40, seed=0), small_policy()
    policy = copy.deepcopy(supervised)
    train_rce(
        policy,
        task.inputs,
        task.recorded(),
        Validation(),
        RceSettings(epochs=1, **OPTIMIZER),
        small_run(tmp_path / "r", "rce"),
    )
    first = {
        reference: train(
            tmp_path / reference,
            task,
            copy.deepcopy(policy),
            supervised=supervised,
            epochs=1,
            reference={"policy": reference},
        )[0]["kl_before_first_update"]
        for reference in ("start", "supervised")
    }
    assert first["start"] == 0.0 < first["supervised"]


def test_the_supervised_reference_must_be_there_when_asked_for(tmp_path):
    with pytest.raises(InputError, match=r"reference\.policy is 'supervised'"):
        train(tmp_path, reference={"policy": "supervised"})


def test_beta_sinks_to_its_floor_when_it_moves_after_every_query(tmp_path):
    settings = SCHEME_6 | {"epochs": 2, "dropout": False, "learning_rate": 1e-6}
    rows = train(tmp_path, rollouts=half_are_right(), supervised=small_policy(), **settings)
    assert [row["beta"] for row in rows] == [0.001, 0.001]


def test_the_faithful_scheme_6_shows_the_signature_of_the_predecessor(tmp_path):
    policy = small_policy(dropout=0.5)
    settings = SCHEME_6 | {"epochs": 2}
    rows = train(tmp_path, policy=policy, rollouts=half_are_right(), supervised=copy.deepcopy(policy), **settings)
    assert rows[0]["kl_before_first_update"] > 0.1
    assert all(row["adv_std"] < 0.05 for row in rows)
    assert all(row["group/entered"] == 1.0 for row in rows)


@pytest.mark.parametrize("average_decay", [0.0, 0.9])
def test_a_second_stage_starts_from_the_weights_of_an_epoch_of_the_first(tmp_path, average_decay):
    """With a step too small to move anything, what it trains on from is what it ends with."""
    staged = {"kind": "staged", "share": 0.5, "epochs": 3, "restart_from": 1}
    settings = {"epochs": 3, "average_decay": average_decay, "rollouts": half_are_right()}
    policy = small_policy()
    train(tmp_path, policy=policy, curriculum={**staged, "epochs": 4}, **settings)
    third = {name: value.clone() for name, value in policy.state_dict().items()}
    first, _ = load_policy(tmp_path / "seed-0" / "grpo" / "epoch-001")
    learner = Learner(policy, GrpoSettings(learning_rate=1e-12, average_decay=average_decay), 10)
    learner.restart(first)
    assert any(not torch.equal(third[name], value) for name, value in first.state_dict().items())
    assert all(torch.equal(policy.state_dict()[name], value) for name, value in first.state_dict().items())
    assert not learner.optimizer.state


def test_scheme_9_is_trained_in_two_stages_without_adaptive_kl(tmp_path):
    """The fourth epoch, on all queries, begins where the first ended: a learning rate of next to nothing shows it."""
    recipe = load_recipe(Path(__file__).parents[2] / "recipes" / "predecessor" / "scheme9.yaml").grpo
    assert (recipe.epochs, recipe.curriculum.epochs, recipe.curriculum.restart_from) == (50, 30, 5)
    small = recipe.curriculum.model_copy(update={"epochs": 3, "restart_from": 1})
    settings = recipe.model_dump() | {"epochs": 4, "curriculum": small, "dropout": False}
    policy = small_policy(dropout=0.5)
    rollouts = from_rollouts(Rollout(q, (p,), float(p < 1 + q % 4)) for q in range(40) for p in range(12))
    settings["sampling"] = {"source": "recorded"}
    rows = train(
        tmp_path,
        policy=policy,
        rollouts=rollouts,
        supervised=copy.deepcopy(policy),
        **settings | {"learning_rate": 1e-3},
    )
    folder = tmp_path / "seed-0" / "grpo"
    epochs = [load_policy(folder / f"epoch-{epoch:03d}")[0].state_dict() for epoch in (1, 3, 4)]
    names = [name for name in epochs[0] if not torch.equal(epochs[0][name], epochs[1][name])]
    distance = [math.sqrt(sum(float((epochs[2][n] - other[n]).square().sum()) for n in names)) for other in epochs[:2]]
    assert names and distance[0] < distance[1]
    assert {row["beta"] for row in rows} == {0.1}


def test_the_schemes_with_clip_only_train_alike():
    """USE_PPO_CLIP_ONLY drops the KL term whatever KL_BETA is."""
    folder = Path(__file__).parents[2] / "recipes" / "predecessor"
    first, *others = (load_recipe(folder / f"scheme{name}.yaml", ["name=x"]) for name in ("7", "7.1", "7.2"))
    assert others == [first, first]
    assert (first.grpo.beta, first.grpo.kl.controller, first.grpo.learning_rate) == (0.0, "fixed", 5e-6)


# What the recommended parts do


def test_beta_rises_while_the_policy_is_too_far_away(tmp_path):
    rows = train(
        tmp_path,
        supervised=small_policy(seed=1),
        reference={"policy": "supervised"},
        kl={"controller": "multiplicative"},
    )
    assert 0.01 < rows[0]["beta"] < rows[1]["beta"]


@pytest.mark.parametrize(("placement", "estimator"), [("loss", "exact"), ("loss", "k3"), ("reward", "k1")])
def test_a_heavy_kl_holds_the_policy_where_it_is(tmp_path, placement, estimator):
    kl = {"placement": placement, "estimator": estimator}
    moved = [
        train(tmp_path / str(beta), epochs=4, beta=beta, kl=kl, entropy_coef=0.0)[-1]["kl"] for beta in (0.0, 30.0)
    ]
    assert moved[1] < moved[0] / 2


def test_freezing_leaves_exactly_the_projections_as_they_are(tmp_path):
    policy = small_policy(feed_forward=True)
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    train(tmp_path, policy=policy, freeze_projections=True)
    after = policy.state_dict()
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert kept == {f"{name}.weight" for name in FROZEN}


def test_a_staged_curriculum_asks_for_its_share_of_the_queries_and_then_for_all(tmp_path):
    rollouts = from_rollouts(Rollout(q, (p,), float(p % 2 and q % 4 == 0)) for q in range(40) for p in range(4))
    asked = collections.defaultdict(set)

    def scorer(pairs, origin):
        asked[origin[-1]].update(query for query, _ in pairs)
        return [float(sequence[0] % 2) for _, sequence in pairs]

    curriculum = {"kind": "staged", "share": 0.25, "epochs": 2}
    train(tmp_path, scorer=scorer, rollouts=rollouts, curriculum=curriculum, epochs=3, steps_per_epoch=5)
    assert asked["1"] == asked["2"] == set(range(0, 40, 4))
    assert asked["3"] == set(range(40))


def test_a_continuous_curriculum_passes_over_more_and_more_queries(tmp_path):
    rows = train(
        tmp_path,
        rollouts=Matching.draw(40, seed=0).recorded(),
        curriculum={"kind": "continuous", "share": 0.2, "epochs": 4},
        epochs=6,
        steps_per_epoch=0,
        advantage={"zero_variance": "keep"},
    )
    assert [row["group/sampled"] for row in rows] == [8, 16, 24, 32, 40, 40]


def test_a_curriculum_needs_recorded_rollouts(tmp_path):
    with pytest.raises(InputError, match="recorded rollouts, but there are none"):
        train(tmp_path, curriculum={"kind": "staged"})


def test_what_another_policy_chose_weighs_at_most_the_cap(tmp_path):
    """The other policy nearly never chose these sequences: every weight is cut down to the cap."""
    norms = {}
    for log_prob in (None, -50.0):
        settings = {"epochs": 1, "steps_per_epoch": 1, "num_iterations": 1, "beta": 0.0, "entropy_coef": 0.0}
        sampling = {"source": "recorded"}
        rollouts = half_are_right(log_prob=log_prob)
        row = train(tmp_path / str(log_prob), rollouts=rollouts, sampling=sampling, **settings)[0]
        norms[log_prob] = row["grad_norm"]
        assert row["behaviour_ess"] == pytest.approx(1.0)
    assert norms[-50.0] == pytest.approx(MAX_IMPORTANCE_WEIGHT * norms[None], rel=1e-4)


def test_a_known_behaviour_policy_shows_in_the_effective_sample_size(tmp_path):
    known = {
        name: train(tmp_path / name, rollouts=half_are_right(log_prob=log_prob), sampling={"source": "recorded"})
        for name, log_prob in (("unknown", None), ("known", -2.5))
    }
    assert all(row["behaviour_ess"] == pytest.approx(1.0) for row in known["unknown"])
    assert all(row["behaviour_ess"] < 0.99 for row in known["known"])


def test_on_policy_rollouts_of_temperature_1_have_no_behaviour_but_the_old_policy(tmp_path):
    ess = {
        temperature: train(tmp_path / str(temperature), sampling={"temperature": temperature})[0]["behaviour_ess"]
        for temperature in (1.0, 2.0)
    }
    assert ess[1.0] == pytest.approx(1.0)
    assert ess[2.0] < 0.99


def test_distinct_sampling_learns_as_well(tmp_path):
    task, unseen, policy = Matching.draw(200, seed=0), Matching.draw(200, seed=1), small_policy()
    before = unseen.greedy_reward(policy)
    train(tmp_path, task, policy, epochs=3, steps_per_epoch=12, queries_per_step=16, sampling={"distinct": True})
    assert unseen.greedy_reward(policy) > before + 0.3


# A policy that can stop


@pytest.mark.parametrize(("cost", "on_easy", "on_hard"), [(0.0, 2.0, 2.0), (0.1, 0.0, 1.0)])
def test_a_cost_teaches_to_show_one_demonstration_where_one_helps_and_none_where_none_is_needed(
    tmp_path, cost, on_easy, on_hard
):
    """Every second kind of query is answered right whatever is shown; the others need one right demonstration."""
    task, unseen, policy = Matching.draw(150, seed=0), Matching.draw(150, seed=1), small_policy(length="stop")

    def scorer(pairs, _origin):
        easy = task.queries % 2 == 0
        return [max(task.reward(q, sequence), float(easy[q])) - cost * len(sequence) for q, sequence in pairs]

    data = SupervisedData(task.inputs, task.beams(stop_below=2))
    imitation = SupervisedSettings(epochs=4, learning_rate=5e-3, queries_per_step=16, **OPTIMIZER)
    train_supervised(policy, data, Validation(), imitation, small_run(tmp_path, "supervised", policy=policy))
    sizes = {"epochs": 4, "steps_per_epoch": 8, "queries_per_step": 16, "num_generations": 8}
    rows = train(tmp_path, task, policy, scorer, advantage={"signal_std": 0.05}, **sizes)
    shown = (policy.greedy(unseen.inputs.batch(range(150)), 2) >= 0).sum(-1).float()
    easy = torch.from_numpy(unseen.queries % 2 == 0)
    assert shown[easy].mean() == pytest.approx(on_easy, abs=0.15)
    assert shown[~easy].mean() == pytest.approx(on_hard, abs=0.15)
    assert (rows[-1]["demonstrations"] > rows[0]["demonstrations"]) == (cost == 0)


# When to stop training


def test_training_stops_when_patience_is_at_its_end(tmp_path):
    rewards = iter([0.1, 0.5, 0.4, 0.5, 0.3, 0.9])
    validation = Validation(answered=lambda _policy: {"val/reward": next(rewards)})
    rows = train(tmp_path, validation=validation, epochs=6, patience=3)
    assert [row["val_reward"] for row in rows] == [0.1, 0.5, 0.4, 0.5, 0.3]


def test_without_patience_all_epochs_are_trained(tmp_path):
    assert len(train(tmp_path, validation=Validation(answered=lambda _policy: {"val/reward": 0.5}), epochs=4)) == 4


@pytest.mark.parametrize(("zero_variance", "entered", "more"), [("keep", 16, 0), ("skip", 8, 0), ("resample", 16, 8)])
def test_groups_without_signal_are_kept_left_out_or_replaced(tmp_path, zero_variance, entered, more):
    """Of the recorded rollouts of every second query all are the same; the one step takes every query once."""
    rollouts = from_rollouts(Rollout(q, (p,), float(p % 2 and q % 2)) for q in range(16) for p in range(4))
    settings = {"sampling": {"source": "recorded"}, "epochs": 1, "steps_per_epoch": 1, "queries_per_step": 16}
    advantage = {"zero_variance": zero_variance, "max_resamples": 9}
    (row,) = train(tmp_path, Matching.draw(16, seed=0), rollouts=rollouts, advantage=advantage, **settings)
    assert row["group/entered"] == entered
    assert row["group/sampled"] >= 16 + more
    assert (row["group/sampled"] > 16) == bool(more)


def test_a_reward_that_is_no_number_ends_the_training(tmp_path):
    with pytest.raises(InputError, match="is nan"):
        train(tmp_path, scorer=lambda pairs, _origin: [math.nan] * len(pairs))


def test_when_losses_stop_being_finite_the_last_good_checkpoint_stands(tmp_path):
    task = Matching.draw(40, seed=0)

    def broken_from_now_on(_policy):
        task.inputs.queries[:] = math.nan
        return {}

    settings = {"epochs": 3, "sampling": {"source": "recorded"}, "num_iterations": 7}
    with pytest.raises(TrainingError, match="20 updates in a row"):
        train(tmp_path, task, validation=Validation(answered=broken_from_now_on), rollouts=half_are_right(), **settings)
    folder = tmp_path / "seed-0" / "grpo"
    assert [path.name for path in sorted(folder.glob("epoch-*"))] == ["epoch-001"]
    policy, manifest = load_policy(folder / "epoch-001")
    assert manifest.metrics["skipped_updates"] == 0
    assert all(value.isfinite().all() for value in policy.state_dict().values())
    mended = train(tmp_path, validation=Validation(), rollouts=half_are_right(), **settings)
    assert [row["epoch"] for row in mended] == [1, 2, 3]
