from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.policies.protocol import STOP
from shotsmith.recipe import GrpoSettings
from shotsmith.training.losses import (
    clipped_surrogate,
    cross_entropy,
    effective_sample_size,
    log_ratios,
    mean_over_sequences,
    reward_weighted_cross_entropy,
    truncated_weights,
)


def surrogate(ratios, advantages, steps=None, importance=None, weights=None, **settings):
    """Loss and gradient of one group; `ratios` [G, T] are those to an old policy of log-probabilities 0."""
    log_probs = torch.tensor([ratios]).log().requires_grad_()
    steps = torch.ones(log_probs.shape, dtype=torch.bool) if steps is None else torch.tensor([steps])
    importance, weights = (None if values is None else torch.tensor([values]) for values in (importance, weights))
    clipped = clipped_surrogate(
        log_probs,
        torch.zeros_like(log_probs),
        torch.tensor([advantages]),
        steps,
        GrpoSettings(**settings),
        importance,
        weights,
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


def term_by_hand(ratio, advantage, epsilon, epsilon_high):
    return min(ratio * advantage, min(max(ratio, 1 - epsilon), 1 + epsilon_high) * advantage)


rollouts = st.lists(
    st.tuples(
        st.lists(st.floats(0.1, 4), min_size=3, max_size=3),  # ratios
        st.integers(0, 3),  # steps that count
        st.floats(-2, 2),  # advantage
        st.floats(0, 2),  # importance
    ),
    min_size=1,
    max_size=5,
).filter(lambda group: any(length for _, length, _, _ in group))


@pytest.mark.parametrize("level", ["step", "sequence"])
@given(group=rollouts, epsilon=st.sampled_from([0.1, 0.3]))
def test_the_loss_equals_a_loop_over_rollouts_and_steps(level, group, epsilon):
    terms = []
    for ratios, length, advantage, importance in group:
        counted = ratios[:length] if level == "step" else [math.prod(ratios[:length])] * bool(length)
        clip = (advantage, epsilon, 0.28)
        terms += [importance * sum(term_by_hand(r, *clip) for r in counted) / len(counted)] if counted else []
    clipped, _ = surrogate(
        [ratios for ratios, *_ in group],
        [advantage for _, _, advantage, _ in group],
        [[t < length for t in range(3)] for _, length, _, _ in group],
        [importance for *_, importance in group],
        epsilon=epsilon,
        importance_level=level,
    )
    assert float(clipped.loss) == pytest.approx(-sum(terms) / len(terms), rel=1e-4, abs=1e-5)


def test_a_sequence_is_clipped_as_a_whole():
    """Steps of ratio 1.2 are within the clip; their product of 1.44 is not."""
    ratios = [[1.2, 1.2]]
    assert float(surrogate(ratios, [1.0], importance_level="step")[0].loss) == pytest.approx(-1.2)
    clipped, gradient = surrogate(ratios, [1.0], importance_level="sequence")
    assert float(clipped.loss) == pytest.approx(-1.28)
    assert gradient.tolist() == [[0.0, 0.0]]
    assert clipped.metrics["clip_ratio/high_mean"] == 1.0
    assert clipped.metrics["ratio_max"] == pytest.approx(1.44)


def test_clip_ratios_count_the_steps_that_lost_their_gradient():
    metrics = surrogate([[1.5], [1.5], [0.5], [1.0]], [1.0, -1.0, -1.0, 1.0])[0].metrics
    assert metrics["clip_ratio/high_mean"] == 0.25
    assert metrics["clip_ratio/low_mean"] == 0.25
    assert metrics["clip_ratio/region_mean"] == 0.5
    assert metrics["ratio_mean"] == pytest.approx(1.125)
    assert metrics["ratio_max"] == pytest.approx(1.5)
    assert metrics["ess"] == pytest.approx(4.5**2 / 4 / (2.25 + 2.25 + 0.25 + 1.0))


def test_a_ratio_outside_the_clip_counts_only_where_it_costs_the_gradient():
    metrics = surrogate([[0.5], [1.5]], [1.0, -1.0])[0].metrics
    assert metrics["clip_ratio/low_mean"] == metrics["clip_ratio/high_mean"] == 0.0


def test_at_sequence_level_every_sequence_is_in_the_metrics_once():
    steps = [[True, True], [True, False], [False, False]]
    ratios = [[2.0, 2.0], [1.0, 9.0], [9.0, 9.0]]
    metrics = surrogate(ratios, [1.0, 1.0, 1.0], steps, importance_level="sequence")[0].metrics
    assert metrics["ratio_mean"] == pytest.approx((4 + 1) / 2)
    assert metrics["clip_ratio/high_mean"] == 0.5


def test_steps_that_do_not_count_are_in_no_metric():
    steps = [[True, False], [True, False]]
    shown = surrogate([[1.5, 9.0], [0.5, 9.0]], [1.0, 1.0], steps)[0].metrics
    assert shown == pytest.approx(surrogate([[1.5], [0.5]], [1.0, 1.0])[0].metrics)


def test_an_unmoved_policy_has_ratio_one_full_sample_size_and_the_policy_gradient():
    clipped, gradient = surrogate([[1.0], [1.0]], [1.0, -1.0])
    assert clipped.metrics["ess"] == pytest.approx(1.0)
    assert float(clipped.loss) == 0
    assert gradient[:, 0].tolist() == [-0.5, 0.5]


def test_importance_multiplies_what_a_rollout_teaches():
    _, gradient = surrogate([[1.0], [1.0]], [1.0, -1.0], importance=[0.25, 2.0])
    assert gradient[:, 0].tolist() == [-0.125, 1.0]


def test_every_sequence_weighs_the_same_whatever_its_length():
    clipped, gradient = surrogate([[1.0, 1.0], [1.0, 1.0]], [1.0, 1.0], [[True, True], [True, False]])
    assert float(clipped.loss) == -1.0
    assert gradient.tolist() == [[-0.25, -0.25], [-0.5, 0.0]]


def test_distinct_weights_are_scaled_to_sum_to_one():
    for scale in (1.0, 1e-30):
        _, gradient = surrogate([[1.0], [1.0]], [1.0, -1.0], weights=[0.3 * scale, 0.1 * scale])
        assert gradient[:, 0].tolist() == pytest.approx([-0.75, 0.25])


def test_all_distinct_sequences_with_their_probabilities_give_the_exact_policy_gradient():
    """Nothing is sampled: the loss is the expectation under the policy, its gradient that of the expected reward."""
    scores = torch.tensor([0.3, -1.0, 0.8, 0.1], requires_grad=True)
    log_probs, rewards = scores.log_softmax(-1), torch.tensor([1.0, 0.0, 0.5, 2.0])
    expected = (log_probs.exp() * rewards).sum()
    clipped = clipped_surrogate(
        log_probs[None, :, None],
        log_probs.detach()[None, :, None],
        (rewards - expected.detach())[None],
        torch.ones(1, 4, 1, dtype=torch.bool),
        GrpoSettings(),
        weights=log_probs.detach().exp()[None],
    )
    (found,) = torch.autograd.grad(clipped.loss, scores, retain_graph=True)
    torch.testing.assert_close(found, -torch.autograd.grad(expected, scores)[0])


def test_sequences_without_a_valid_step_are_left_out_of_the_mean():
    values, steps = torch.tensor([[[2.0], [math.inf]]]), torch.tensor([[[True], [False]]])
    assert float(mean_over_sequences(values, steps)) == 2.0
    assert float(mean_over_sequences(values, steps, torch.tensor([[0.1, 5.0]]))) == 2.0


def test_with_weights_every_group_counts_the_same_and_groups_without_any_do_not():
    values = torch.tensor([[[4.0], [8.0]], [[1.0], [9.0]], [[7.0], [7.0]]])
    steps = torch.tensor([[[True], [True]], [[True], [False]], [[True], [True]]])
    weights = torch.tensor([[3.0, 1.0], [0.2, 9.0], [0.0, 0.0]])
    assert float(mean_over_sequences(values, steps, weights)) == pytest.approx((5 + 1) / 2)
    assert float(mean_over_sequences(values, steps)) == pytest.approx((4 + 8 + 1 + 7 + 7) / 5)
    assert float(mean_over_sequences(values, steps, torch.zeros(3, 2))) == 0.0


@pytest.mark.parametrize("level", ["step", "sequence"])
def test_extreme_ratios_stay_finite(level):
    log_probs = torch.tensor([[[500.0], [-500.0]]], requires_grad=True)
    clipped = clipped_surrogate(
        log_probs,
        torch.zeros(1, 2, 1),
        torch.tensor([[-1.0, 1.0]]),
        torch.ones(1, 2, 1, dtype=torch.bool),
        GrpoSettings(importance_level=level),
    )
    assert math.isfinite(float(clipped.loss.detach()))
    assert clipped.metrics["ratio_max"] == pytest.approx(math.exp(20), rel=1e-4)


def test_stopping_is_learned_like_any_other_choice():
    """STOP is the last of the columns."""
    scores = torch.tensor([0.5, -math.inf, 1.0, 2.0], requires_grad=True)
    distribution = scores.log_softmax(-1).expand(1, 1, 3, 4)
    losses = cross_entropy(distribution, torch.tensor([[[2, STOP, -1]]]))[0, 0]
    possible = scores[[0, 2, 3]][None]
    for step, target in enumerate([1, 2]):
        expected = torch.nn.functional.cross_entropy(possible, torch.tensor([target]))
        torch.testing.assert_close(losses[step], expected)
    assert losses[2] == 0
    assert torch.autograd.grad(losses.sum(), scores)[0].isfinite().all()


def test_padded_steps_have_no_cross_entropy():
    distribution = torch.zeros(1, 1, 2, 3).log_softmax(-1)
    assert cross_entropy(distribution, torch.tensor([[[1, -1]]]))[0, 0, 1] == 0


DISTRIBUTIONS = torch.randn(2, 3, 2, 4, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
SEQUENCES = torch.tensor([[[0, 1], [2, 3], [1, 0]], [[STOP, -1], [0, STOP], [2, -1]]])
REWARDS = torch.tensor([[1.0, 0.5, 9.0], [0.0, 1.0, 0.25]])
VALID = torch.tensor([[True, True, False], [True, True, True]])


def sequence_entropy(b, g):
    """Summed over the steps; STOP is the last column."""
    return -sum(float(DISTRIBUTIONS[b, g, t, p % 4 if p >= 0 else 3]) for t, p in enumerate(SEQUENCES[b, g]) if p != -1)


def test_rce_follows_its_formula_and_leaves_failures_out():
    expected = 0.0
    for b, members in enumerate(([0, 1], [0, 1, 2])):
        weights = {g: math.exp(float(REWARDS[b, g]) / 0.7) for g in members}
        expected += sum(w * sequence_entropy(b, g) for g, w in weights.items()) / sum(weights.values()) / 2
    found = reward_weighted_cross_entropy(DISTRIBUTIONS, SEQUENCES, REWARDS, VALID, 0.7)
    assert float(found) == pytest.approx(expected, rel=1e-5)


NEW = torch.tensor([[[-1.0, -2.0, -9.0], [-0.5, -9.0, -9.0], [-9.0, -9.0, -9.0]]])
OLD = torch.tensor([[[-1.5, -1.0, -3.0], [-1.0, -3.0, -3.0], [-3.0, -3.0, -3.0]]])
STEPS = torch.tensor([[[True, True, False], [True, False, False], [False, False, False]]])


def test_each_step_has_its_ratio_and_steps_that_do_not_count_have_one():
    assert log_ratios(NEW, OLD, STEPS, "step").tolist() == [[[0.5, -1.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]]


def test_the_ratio_of_a_sequence_is_the_product_over_its_steps():
    assert log_ratios(NEW, OLD, STEPS, "sequence").tolist() == [[[-0.5], [0.5], [0.0]]]


@pytest.mark.parametrize("level", ["step", "sequence"])
def test_log_ratios_are_bounded_and_what_does_not_count_may_be_anything(level):
    new = torch.tensor([[[300.0, math.inf], [-300.0, math.nan]]])
    steps = torch.tensor([[[True, False], [True, False]]])
    found = log_ratios(new, torch.zeros(1, 2, 2), steps, level)
    assert found[0, :, 0].tolist() == [20.0, -20.0]
    assert found.isfinite().all()


def weights_of(old, behaviour, max_weight=2.0, steps=None):
    old = torch.tensor([old])
    steps = torch.ones(old.shape, dtype=torch.bool) if steps is None else torch.tensor([steps])
    return truncated_weights(old, torch.tensor([behaviour]), steps, max_weight)[0].tolist()


def test_weights_are_ratios_of_whole_sequences_up_to_the_cap():
    old = [[math.log(0.5), math.log(0.4)]] * 3
    found = weights_of(old, [math.log(0.4), math.log(0.2), math.log(0.05)])
    assert found == pytest.approx([0.5, 1.0, 2.0])
    assert weights_of(old[:1], [math.log(0.05)], max_weight=9.0) == pytest.approx([4.0])


def test_an_unknown_behaviour_weighs_one_even_under_a_lower_cap():
    assert weights_of([[-1.0], [-1.0]], [math.nan, -1.0], max_weight=0.5) == [1.0, 0.5]


def test_steps_that_do_not_count_are_not_in_the_weights():
    assert weights_of([[-1.0, -math.inf]], [-1.0], steps=[[True, False]]) == [1.0]


def test_weights_have_no_gradient_and_stay_finite():
    old = torch.zeros(1, 2, 1, requires_grad=True)
    found = truncated_weights(old, torch.tensor([[-1e9, 1e9]]), torch.ones(1, 2, 1, dtype=torch.bool), 1e30)
    assert not found.requires_grad
    assert found[0].tolist() == pytest.approx([math.exp(20), math.exp(-20)], rel=1e-5)


def test_truncated_weights_without_a_binding_cap_turn_one_expectation_into_another():
    behaviour, old = torch.tensor([[0.5, 0.3, 0.2]]), torch.tensor([[0.2, 0.3, 0.5]])
    values = torch.tensor([[1.0, -2.0, 4.0]])
    weights = truncated_weights(old.log()[..., None], behaviour.log(), torch.ones(1, 3, 1, dtype=torch.bool), 10.0)
    torch.testing.assert_close((behaviour * weights * values).sum(), (old * values).sum())


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=9))
def test_the_effective_size_lies_between_one_and_all_of_them(weights):
    share = effective_sample_size(torch.tensor(weights), torch.ones(len(weights), dtype=torch.bool))
    assert share == pytest.approx(sum(weights) ** 2 / len(weights) / sum(w * w for w in weights), rel=1e-4)
    assert 1 / len(weights) - 1e-5 <= share <= 1 + 1e-5


def test_the_effective_size_counts_equal_weights_fully_and_leaves_out_the_others():
    weights, counted = torch.tensor([[3.0, 3.0, 99.0]]), torch.tensor([[True, True, False]])
    assert effective_sample_size(weights, counted) == 1.0
