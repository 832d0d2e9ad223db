from __future__ import annotations

import pytest
import torch

from shotsmith.policies.protocol import STOP
from shotsmith.recipe import AdvantageSettings
from shotsmith.records import Rollout
from shotsmith.training.advantages import advantages
from shotsmith.training.groups import Groups, from_rollouts
from shotsmith.training.rollout_metrics import SampledMetrics, advantage_metrics


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
