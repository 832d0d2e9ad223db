from __future__ import annotations

import itertools
import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.recipe import AdvantageSettings
from shotsmith.training.advantages import ESTIMATORS, advantages, group_std, keep_top, kept_in_epoch, standardise

# Eighths are exact in float32: equal rewards are equal, and shifting them stays exact.
reward = st.integers(0, 16).map(lambda eighths: eighths / 8)
rewards = st.lists(reward, min_size=2, max_size=8)
batches = st.integers(2, 6).flatmap(
    lambda size: st.lists(st.lists(reward, min_size=size, max_size=size), min_size=1, max_size=4)
)
weights = st.lists(st.integers(1, 16).map(lambda sixteenths: sixteenths / 16), min_size=8, max_size=8)
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)


def of_batch(values, valid=None, weights=None, **settings):
    values = torch.tensor(values)
    valid = torch.ones(values.shape, dtype=torch.bool) if valid is None else torch.tensor(valid)
    weights = None if weights is None else torch.tensor(weights)
    return advantages(values, valid, AdvantageSettings(**settings), weights)


def of_group(values, valid=None, weights=None, **settings):
    one = [None if values is None else [values] for values in (values, valid, weights)]
    return of_batch(*one, **settings)


def by_hand(estimator, batch, min_std):
    """The advantages of whole groups, one rollout after the other."""
    centred = [[r - statistics.mean(group) for r in group] for group in batch]
    deviation = statistics.stdev(itertools.chain(*centred))
    found = []
    for group, differences in zip(batch, centred, strict=True):
        others = [[r for j, r in enumerate(group) if j != i] for i in range(len(group))]
        found.append(
            [0.0] * len(group)
            if statistics.pstdev(group) == 0
            else {
                "group": [d / max(statistics.stdev(group), min_std) for d in differences],
                "centered": differences,
                "batch": [d / max(deviation, min_std) for d in differences],
                "rank": [
                    (sum(o < r for o in rest) - sum(o > r for o in rest)) / len(rest)
                    for r, rest in zip(group, others, strict=True)
                ],
                "rloo": [r - statistics.mean(rest) for r, rest in zip(group, others, strict=True)],
            }[estimator]
        )
    return found


def test_the_settings_name_every_estimator_and_no_other():
    for estimator in ESTIMATORS:
        assert AdvantageSettings(estimator=estimator).estimator == estimator
    names = AdvantageSettings.model_fields["estimator"].annotation.__args__
    assert set(names) == set(ESTIMATORS)


@every_estimator
@given(batch=batches, min_std=st.sampled_from([0.0, 0.05, 0.5]))
def test_an_estimator_equals_its_definition(estimator, batch, min_std):
    found = of_batch(batch, estimator=estimator, min_std=min_std).values
    torch.testing.assert_close(found, torch.tensor(by_hand(estimator, batch, min_std)), atol=1e-6, rtol=1e-5)


@every_estimator
@given(batch=batches, shift=st.integers(-40, 40).map(lambda eighths: eighths / 8))
def test_a_constant_added_to_all_rewards_changes_nothing(estimator, batch, shift):
    shifted = [[r + shift for r in group] for group in batch]
    torch.testing.assert_close(
        of_batch(shifted, estimator=estimator).values, of_batch(batch, estimator=estimator).values, atol=1e-6, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("estimator", "grows"), [("group", 1), ("batch", 1), ("rank", 1), ("centered", 4), ("rloo", 4)]
)
@given(batch=batches)
def test_rewards_four_times_as_large_give_advantages_as_large_or_four_times(estimator, grows, batch):
    larger = of_batch([[4 * r for r in group] for group in batch], estimator=estimator, min_std=0.0)
    expected = grows * of_batch(batch, estimator=estimator, min_std=0.0).values
    torch.testing.assert_close(larger.values, expected, atol=1e-6, rtol=1e-5)


@every_estimator
@given(values=rewards, data=st.data())
def test_advantages_go_with_their_rollouts_in_whatever_order(estimator, values, data):
    order = data.draw(st.permutations(range(len(values))))
    permuted = of_group([values[i] for i in order], estimator=estimator).values[0]
    expected = of_group(values, estimator=estimator).values[0][list(order)]
    torch.testing.assert_close(permuted, expected, atol=1e-6, rtol=1e-5)


@every_estimator
@given(values=rewards)
def test_advantages_are_centred_and_keep_the_order_of_the_rewards(estimator, values):
    found = of_group(values, estimator=estimator).values[0]
    assert float(found.sum()) == pytest.approx(0, abs=1e-5)
    order = sorted(range(len(values)), key=values.__getitem__)
    assert all(found[a] <= found[b] + 1e-6 for a, b in itertools.pairwise(order))


@every_estimator
@given(values=rewards, junk=rewards)
def test_failed_rollouts_are_as_if_they_were_not_there(estimator, values, junk):
    found = of_group([*junk, *values], [False] * len(junk) + [True] * len(values), estimator=estimator)
    alone = of_group(values, estimator=estimator)
    assert found.values[0, : len(junk)].tolist() == [0.0] * len(junk)
    torch.testing.assert_close(found.values[0, len(junk) :], alone.values[0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found.reward_std, alone.reward_std)
    assert (found.signal.tolist(), found.zero_std.tolist()) == (alone.signal.tolist(), alone.zero_std.tolist())


@every_estimator
@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_equal_rewards_teach_nothing_whatever_the_settings(estimator, size, value):
    other = [float(i) for i in range(size)]  # a group with signal beside it
    found = of_batch([[value] * size, other], estimator=estimator, min_std=0.0, signal_std=0.0)
    assert found.values[0].tolist() == [0.0] * size
    assert found.zero_std.tolist() == [True, size == 1]
    assert found.signal.tolist() == [False, size > 1]


@every_estimator
def test_a_group_whose_rollouts_all_failed_has_no_advantages(estimator):
    found = of_batch([[0.0, 1.0], [0.0, 1.0]], [[False, False], [True, True]], estimator=estimator)
    assert found.values[0].tolist() == [0.0, 0.0]
    assert found.signal.tolist() == [False, True]


@pytest.mark.parametrize("estimator", sorted(set(ESTIMATORS) - {"batch"}))
@given(one=rewards, other=rewards)
def test_groups_do_not_see_each_other_unless_told_to(estimator, one, other):
    size = min(len(one), len(other))
    both = of_batch([one[:size], other[:size]], estimator=estimator)
    assert both.values[0].tolist() == of_group(one[:size], estimator=estimator).values[0].tolist()


def test_the_batch_estimator_divides_all_groups_alike():
    found = of_batch([[0.0, 2.0], [0.0, 0.5]], estimator="batch", min_std=0.0).values
    assert float(found[0, 1] / found[1, 1]) == pytest.approx(4)
    assert of_batch([[0.0, 2.0], [0.0, 0.5]], estimator="group", min_std=0.0).values[:, 1].tolist() == pytest.approx(
        [math.sqrt(0.5)] * 2
    )


def test_ranks_span_minus_one_to_one_and_ties_share_theirs():
    assert of_group([0.0, 5.0, 1.0, 0.5, 0.25], estimator="rank").values[0].tolist() == [-1.0, 1.0, 0.5, 0.0, -0.5]
    assert of_group([0.0, 1.0, 1.0], estimator="rank").values[0].tolist() == [-1.0, 0.5, 0.5]


def test_the_floor_bounds_what_a_slight_difference_can_grow_to():
    slight = [0.0, 0.0, 0.0, 0.01]
    assert float(of_group(slight, min_std=0.1).values.max()) == pytest.approx(0.075)
    assert float(of_group(slight, min_std=0.0).values.max()) == pytest.approx(1.5)


@every_estimator
def test_clipping_bounds_advantages_and_zero_does_not_clip(estimator):
    values = [0.0, 1.0, 2.0, 30.0]
    whole = of_group(values, estimator=estimator).values
    clipped = of_group(values, estimator=estimator, clip=0.3).values
    assert float(whole.max()) > 0.3
    assert torch.equal(clipped, whole.clamp(-0.3, 0.3))


def test_signal_begins_above_the_threshold():
    spread = statistics.stdev([0.0, 1.0])
    assert of_group([0.0, 1.0], signal_std=spread - 1e-3).signal.tolist() == [True]
    assert of_group([0.0, 1.0], signal_std=spread + 1e-3).signal.tolist() == [False]
    assert of_group([0.0, 1.0], signal_std=spread + 1e-3).zero_std.tolist() == [False]
    assert float(of_group([0.0, 1.0], signal_std=9.0).values.abs().sum()) > 0


@every_estimator
@given(values=rewards, weight=st.sampled_from([1e-30, 0.25, 3.0]))
def test_equal_weights_are_as_good_as_none(estimator, values, weight):
    found = of_group(values, weights=[weight] * len(values), estimator=estimator)
    torch.testing.assert_close(found.values, of_group(values, estimator=estimator).values, atol=1e-6, rtol=1e-5)


@every_estimator
@given(values=rewards, weights=weights, factor=st.sampled_from([0.5, 8.0]))
def test_only_ratios_of_weights_matter(estimator, values, weights, factor):
    weights = weights[: len(values)]
    found = of_group(values, weights=weights, estimator=estimator).values
    scaled = of_group(values, weights=[factor * w for w in weights], estimator=estimator).values
    torch.testing.assert_close(found, scaled, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("estimator", sorted(set(ESTIMATORS) - {"rloo"}))
@given(values=rewards, weights=weights)
def test_weighted_advantages_have_a_weighted_mean_of_zero(estimator, values, weights):
    weights = weights[: len(values)]
    found = of_group(values, weights=weights, estimator=estimator).values[0].tolist()
    scale = 1 + max(map(abs, found))
    assert sum(a * w for a, w in zip(found, weights, strict=True)) / scale == pytest.approx(0, abs=1e-5)


@every_estimator
@given(values=rewards, weights=weights)
def test_a_rollout_of_weight_zero_is_not_there(estimator, values, weights):
    weights = weights[: len(values)]
    found = of_group([9.0, *values], weights=[0.0, *weights], estimator=estimator)
    alone = of_group(values, weights=weights, estimator=estimator)
    assert float(found.values[0, 0]) == 0.0
    torch.testing.assert_close(found.values[0, 1:], alone.values[0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found.reward_std, alone.reward_std)


def test_weighted_baseline_and_deviation_are_those_of_the_policy_that_was_sampled():
    """A sequence of weight 3/4 counts as much as three of the four rollouts of weight 1/4."""
    found = of_group([0.0, 1.0], weights=[0.75, 0.25], estimator="centered").values[0]
    assert found.tolist() == pytest.approx([-0.25, 0.75])
    deviation = math.sqrt(2 * (0.75 * 0.25**2 + 0.25 * 0.75**2))  # n / (n - 1) times the variance of the two
    scored = of_group([0.0, 1.0], weights=[0.75, 0.25], estimator="group").values[0]
    assert scored.tolist() == pytest.approx([-0.25 / deviation, 0.75 / deviation])


def test_whether_a_group_has_signal_is_told_by_its_rewards_and_not_by_their_weights():
    found = of_group([0.0, 1.0], weights=[0.999, 0.001], signal_std=0.5)
    assert float(found.reward_std) == pytest.approx(math.sqrt(0.5))
    assert found.signal.tolist() == [True]


def test_weighted_rloo_compares_with_the_weighted_mean_of_the_others():
    found = of_group([0.0, 1.0, 0.5], weights=[0.5, 0.25, 0.125], estimator="rloo").values[0]
    assert found.tolist() == pytest.approx([-(0.25 + 0.0625) / 0.375, 1 - 0.0625 / 0.625, 0.5 - 0.25 / 0.75])


def test_weighted_ranks_are_centred_by_weight_and_not_weighted_themselves():
    found = of_group([0.0, 1.0, 2.0], weights=[0.5, 0.25, 0.25], estimator="rank").values[0]
    assert found.tolist() == pytest.approx([-0.75, 0.25, 1.25])


def test_advantages_are_float32_and_carry_no_precision_loss_from_large_rewards():
    found = of_batch([[1e6, 1e6 + 0.5, 1e6 + 1.0]], estimator="group", min_std=0.0).values
    assert found.dtype == torch.float32
    assert found[0].tolist() == pytest.approx([-1.0, 0.0, 1.0])


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=9))
def test_group_std_is_the_unbiased_one(values):
    std, centred = group_std(torch.tensor([values], dtype=torch.float64), torch.ones(1, len(values), dtype=torch.bool))
    assert float(std) == pytest.approx(statistics.stdev(values), abs=1e-9)
    assert centred[0].tolist() == pytest.approx([v - statistics.fmean(values) for v in values], abs=1e-9)


def test_standardised_rewards_are_clamped_and_flat_groups_stay_at_zero():
    found = standardise(torch.tensor([[1.0] + [0.0] * 15, [0.3] * 16]), torch.ones(2, 16, dtype=torch.bool))
    assert float(found[0, 0]) == 3.0
    assert found[1].tolist() == [0.0] * 16


@given(rewards)
def test_standardised_rewards_are_z_scores_of_the_valid_ones(values):
    found = standardise(torch.tensor([[9.0, *values]]), torch.tensor([[False] + [True] * len(values)]))[0].tolist()
    std = statistics.stdev(values)
    expected = [min(3.0, max(-3.0, (v - statistics.fmean(values)) / std)) if std else 0.0 for v in values]
    assert found == pytest.approx([0.0, *expected], abs=1e-5)


rollouts = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=8)


@given(group=rollouts, number=st.integers(2, 9))
def test_the_best_valid_rollouts_are_kept_and_of_equal_ones_the_earlier(group, number):
    rewards = torch.tensor([[float(reward) for reward, _ in group]])
    valid = torch.tensor([[valid for _, valid in group]])
    best_first = sorted((i for i, (_, valid) in enumerate(group) if valid), key=lambda i: -group[i][0])
    expected = {*best_first[:number]}
    assert {i for i, kept in enumerate(keep_top(rewards, valid, number)[0].tolist()) if kept} == expected


def test_ties_go_to_the_earlier_in_large_groups_too():
    rewards = torch.arange(200).remainder(2).float()[None]
    kept = keep_top(rewards, torch.ones(1, 200, dtype=torch.bool), 60)[0]
    assert kept.nonzero()[:, 0].tolist() == list(range(1, 120, 2))


def test_groups_are_cut_each_on_its_own():
    rewards = torch.tensor([[3.0, 2.0, 1.0], [7.0, 8.0, 9.0]])
    kept = keep_top(rewards, torch.ones(2, 3, dtype=torch.bool), 2)
    assert kept.tolist() == [[True, True, False], [False, True, True]]


def test_cutting_takes_the_signal_away():
    """What went wrong with the predecessor: the best of a group are nearly always equal."""
    rewards, valid = torch.tensor([[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]]), torch.ones(1, 6, dtype=torch.bool)
    settings = AdvantageSettings()
    assert advantages(rewards, valid, settings).signal.tolist() == [True]
    assert advantages(rewards, keep_top(rewards, valid, 3), settings).zero_std.tolist() == [True]


def test_the_last_number_stays_and_none_keeps_whole_groups():
    assert [kept_in_epoch(epoch, (3, 5)) for epoch in (1, 2, 3, 50)] == [3, 5, 5, 5]
    assert kept_in_epoch(1, ()) is None
