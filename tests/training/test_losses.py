from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from shotsmith.training.losses import (
    clipped_surrogate,
    cross_entropy,
    mean_over_sequences,
    reward_weighted_cross_entropy,
)


def surrogate(ratios, advantages, steps=None, epsilon=0.2, epsilon_high=0.28):
    log_probs = torch.tensor([ratios]).log().requires_grad_()
    steps = torch.ones(log_probs.shape, dtype=torch.bool) if steps is None else torch.tensor([steps])
    clipped = clipped_surrogate(
        log_probs, torch.zeros_like(log_probs), torch.tensor([advantages]), steps, epsilon, epsilon_high
    )
    gradient = torch.autograd.grad(clipped.loss, log_probs)[0][0]
    return replace(clipped, loss=clipped.loss.detach()), gradient


def test_the_loss_is_clipped_above_for_good_rollouts_and_below_for_bad_ones():
    clipped, gradient = surrogate([[1.5], [0.5], [1.5], [0.5]], [1.0, 1.0, -1.0, -1.0])
    assert float(clipped.loss) == pytest.approx(-(1.28 + 0.5 - 1.5 - 0.8) / 4)
    assert gradient[0, 0] == 0
    assert gradient[3, 0] == 0
    assert gradient[1, 0] < 0 < gradient[2, 0]


def test_the_two_clips_are_set_apart():
    assert float(surrogate([[2.0]], [1.0], epsilon_high=0.5)[0].loss) == pytest.approx(-1.5)
    assert float(surrogate([[0.1]], [-1.0], epsilon=0.4)[0].loss) == pytest.approx(0.6)


def test_clip_ratios_count_the_steps_that_lost_their_gradient():
    metrics = surrogate([[1.5], [1.5], [0.5], [1.0]], [1.0, -1.0, -1.0, 1.0])[0].metrics
    assert metrics["clip_ratio/high_mean"] == 0.25
    assert metrics["clip_ratio/low_mean"] == 0.25
    assert metrics["clip_ratio/region_mean"] == 0.5
    assert metrics["ratio_mean"] == pytest.approx(1.125)
    assert metrics["ratio_max"] == pytest.approx(1.5)


def test_an_unmoved_policy_has_ratio_one_full_sample_size_and_the_policy_gradient():
    clipped, gradient = surrogate([[1.0], [1.0]], [1.0, -1.0])
    assert clipped.metrics["ess"] == pytest.approx(1.0)
    assert float(clipped.loss) == 0
    assert gradient[:, 0].tolist() == [-0.5, 0.5]


def test_every_sequence_weighs_the_same_whatever_its_length():
    clipped, gradient = surrogate([[1.0, 1.0], [1.0, 1.0]], [1.0, 1.0], [[True, True], [True, False]])
    assert float(clipped.loss) == -1.0
    assert gradient.tolist() == [[-0.25, -0.25], [-0.5, 0.0]]


def test_sequences_without_a_valid_step_are_left_out_of_the_mean():
    values, steps = torch.tensor([[[2.0], [math.inf]]]), torch.tensor([[[True], [False]]])
    assert float(mean_over_sequences(values, steps)) == 2.0


def test_extreme_ratios_stay_finite():
    log_probs = torch.tensor([[[500.0], [-500.0]]], requires_grad=True)
    steps = torch.ones(1, 2, 1, dtype=torch.bool)
    clipped = clipped_surrogate(log_probs, torch.zeros(1, 2, 1), torch.tensor([[-1.0, 1.0]]), steps, 0.2, 0.28)
    assert math.isfinite(float(clipped.loss.detach()))
    assert clipped.metrics["ratio_max"] == pytest.approx(math.exp(20), rel=1e-4)


def test_label_smoothing_spreads_its_share_over_the_possible_candidates():
    scores = torch.tensor([2.0, 1.0, 0.0, -math.inf])
    distribution, chosen = scores.log_softmax(-1)[None, None, None], torch.tensor([[[0]]])
    expected = torch.nn.functional.cross_entropy(scores[None, :3], torch.tensor([0]), label_smoothing=0.3)
    torch.testing.assert_close(cross_entropy(distribution, chosen, 0.3)[0, 0, 0], expected)
    assert not torch.allclose(cross_entropy(distribution, chosen, 0.0), cross_entropy(distribution, chosen, 0.3))


def test_padded_steps_have_no_cross_entropy():
    distribution = torch.zeros(1, 1, 2, 3).log_softmax(-1)
    assert cross_entropy(distribution, torch.tensor([[[1, -1]]]), 0.5)[0, 0, 1] == 0


def test_rce_follows_its_formula_and_leaves_failures_out():
    distributions = torch.randn(2, 3, 2, 4, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    sequences = torch.tensor([[[0, 1], [2, 3], [1, 0]], [[3, -1], [0, -1], [2, -1]]])
    rewards = torch.tensor([[1.0, 0.5, 9.0], [0.0, 1.0, 0.25]])
    valid = torch.tensor([[True, True, False], [True, True, True]])
    expected = 0.0
    for b, members in enumerate(([0, 1], [0, 1, 2])):
        total = sum(math.exp(float(rewards[b, g]) / 0.7) for g in members)
        for g in members:
            steps = [(t, int(p)) for t, p in enumerate(sequences[b, g]) if p >= 0]
            entropy = -sum(float(distributions[b, g, t, p]) for t, p in steps)
            expected += math.exp(float(rewards[b, g]) / 0.7) / total * entropy / 2
    assert float(reward_weighted_cross_entropy(distributions, sequences, rewards, valid, 0.7)) == pytest.approx(
        expected, rel=1e-5
    )
