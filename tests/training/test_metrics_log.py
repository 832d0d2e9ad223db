from __future__ import annotations

import json

import pytest
import torch

from shotsmith.policies.protocol import STOP
from shotsmith.recipe import AdvantageSettings
from shotsmith.records import Rollout
from shotsmith.training.advantages import advantages
from shotsmith.training.groups import Groups, from_rollouts
from shotsmith.training.metrics_log import MetricsLog, SampledMetrics, advantage_metrics


def row(epoch, phase="grpo", seed=0, **metrics):
    return {"seed": seed, "phase": phase, "epoch": epoch} | metrics


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_rows_are_appended_in_order(tmp_path):
    with MetricsLog(tmp_path / "m.jsonl") as log:
        log.append(row(1, reward=0.5))
        log.append(row(2, reward=None))
    assert lines(tmp_path / "m.jsonl") == [row(1, reward=0.5), row(2, reward=None)]


def test_a_torn_last_line_is_dropped_and_written_again(tmp_path):
    file = tmp_path / "m.jsonl"
    file.write_text(json.dumps(row(1)) + "\n" + json.dumps(row(2))[:-5])
    with MetricsLog(file) as log:
        log.append(row(1, reward=9.0))
        log.append(row(2, reward=0.5))
    assert lines(file) == [row(1), row(2, reward=0.5)]


def test_an_epoch_is_written_once_but_not_confused_with_that_of_another_seed_or_phase(tmp_path):
    for _ in range(2):
        with MetricsLog(tmp_path / "m.jsonl") as log:
            for one in (row(1), row(1, seed=1), row(1, phase="rce"), row(1)):
                log.append(one)
    assert lines(tmp_path / "m.jsonl") == [row(1), row(1, seed=1), row(1, phase="rce")]


def test_nan_is_never_written(tmp_path):
    log = MetricsLog(tmp_path / "m.jsonl")
    with pytest.raises(ValueError, match="JSON"):
        log.append(row(1, reward=float("nan")))
    assert not (tmp_path / "m.jsonl").exists()


def test_tensorboard_shows_the_same_names_and_survives_a_restart_without_doubles(tmp_path):
    file, folder = tmp_path / "m.jsonl", tmp_path / "tensorboard" / "seed-0"
    with MetricsLog(file, folder) as log:
        log.append(row(1, **{"clip_ratio/low_mean": 0.25}))
    with MetricsLog(file, folder) as log:
        log.append(row(1, **{"clip_ratio/low_mean": 0.25}))
        log.append(row(2, **{"clip_ratio/low_mean": 0.5}))
        log.append(row(1, phase="rce", tau=2.0))
    assert scalars(folder / "grpo") == {"clip_ratio/low_mean": [(1, 0.25), (2, 0.5)]}
    assert scalars(folder / "rce") == {"tau": [(1, 2.0)]}


def sampled_metrics(groups, highest_reward):
    """Of two steps, so that adding up is tested wherever a figure is."""
    figures = SampledMetrics(highest_reward)
    for step in (groups[:1], groups[1:]):
        figures.add(step)
    return figures.metrics()


def groups_of(*groups: list[float | None]) -> Groups:
    return from_rollouts(
        Rollout(query, (position,), reward)
        for query, rewards in enumerate(groups)
        for position, reward in enumerate(rewards)
    )


def of_advantages(groups: Groups, **settings: object) -> dict[str, float]:
    return advantage_metrics(advantages(groups.values, groups.valid, AdvantageSettings(**settings)), groups.valid)


def test_shares_of_good_and_bad_groups_follow_half_of_the_highest_reward():
    groups = groups_of([2.0, 1.1], [0.9, 0.0], [0.9, 1.0], [None, 1.5], [0.2, 0.2])
    metrics = sampled_metrics(groups, highest_reward=2.0)
    assert metrics["group/frac_all_good"] == pytest.approx(0.4)
    assert metrics["group/frac_all_bad"] == pytest.approx(0.4)
    assert metrics["group/frac_mixed"] == pytest.approx(0.2)
    assert metrics["frac_reward_zero_std"] == pytest.approx(0.4)
    assert metrics["failures"] == 1
    assert metrics["group/sampled"] == 5


def test_a_failed_rollout_is_in_no_mean_and_an_absent_one_is_no_failure():
    metrics = sampled_metrics(groups_of([1.0, None, 0.0, 0.5], [1.0]), highest_reward=1.0)
    assert metrics["failures"] == 1
    assert metrics["reward"] == pytest.approx(0.625)
    assert metrics["reward_std"] == pytest.approx(0.25)


def test_when_all_fail_there_is_only_the_count():
    groups = groups_of([1.0, 0.0]).where(torch.tensor([[False, False]]))
    assert sampled_metrics(groups, 1.0) == {"failures": 2.0, "group/sampled": 1.0}


def test_stopping_is_no_demonstration():
    rollouts = [Rollout(0, (), 1.0), Rollout(0, (3,), 1.0), Rollout(0, (1, 2), 0.0), Rollout(0, (2, 1), None)]
    groups = from_rollouts(rollouts, stop_below=2)
    assert (groups.sequences == STOP).sum() == 2
    assert sampled_metrics(groups, 1.0)["demonstrations"] == pytest.approx(1.0)


def test_adv_std_and_adv_max_are_means_over_groups():
    """As the predecessor logged them: one group in two with signal halves both."""
    one, two = of_advantages(groups_of([0.0, 1.0])), of_advantages(groups_of([0.0, 1.0], [1.0, 1.0]))
    assert one["adv_std"] == pytest.approx(1.0)
    assert two["adv_std"] == pytest.approx(0.5)
    assert two["adv_max"] == pytest.approx(one["adv_max"] / 2)
    assert two["group/frac_signal"] == 0.5
    assert two["group/entered"] == 2
    assert two["advantage_max"] == one["advantage_max"] == -one["advantage_min"]
    assert two["advantage_mean"] == pytest.approx(0.0)


def test_adv_std_is_that_of_the_rollouts_that_are_kept():
    groups = groups_of([1.0, 1.0, 1.0, 0.0, 0.0])
    best = groups.where(torch.tensor([[True, True, True, False, False]]))
    assert of_advantages(groups)["adv_std"] == pytest.approx(1.0)
    assert of_advantages(best)["adv_std"] == 0.0
    assert of_advantages(best)["adv_max"] == 0.0


def test_one_rollout_has_no_spread_and_no_nan():
    metrics = of_advantages(groups_of([1.0]))
    assert "advantage_std" not in metrics
    assert metrics["adv_std"] == metrics["advantage_mean"] == 0.0
