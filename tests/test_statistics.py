from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from shotsmith.errors import InputError
from shotsmith.statistics import (
    Difference,
    Interval,
    benjamini_hochberg,
    detection_power,
    holm,
    mean_interval,
    paired_difference,
    sign_flip_p,
    smallest_detectable,
)

ACCURACIES = st.lists(st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0]), min_size=2, max_size=30)
QUICK = {"resamples": 200}
QUICK_PAIRED = {"resamples": 200, "permutations": 199}


@pytest.fixture(autouse=True)
def warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def draws(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@given(ACCURACIES)
def test_the_interval_holds_the_mean_and_lies_within_the_values(values):
    interval = mean_interval(values, **QUICK)
    assert interval.mean == pytest.approx(np.mean(values))
    assert interval.low <= interval.mean + 1e-12 and interval.mean <= interval.high + 1e-12
    assert min(values) - 1e-12 <= interval.low and interval.high <= max(values) + 1e-12
    assert interval.n == len(values)


@given(ACCURACIES, st.floats(-5, 5), st.floats(0.1, 100))
def test_shifting_and_scaling_the_values_shifts_and_scales_the_interval(values, shift, scale):
    plain = mean_interval(values, **QUICK)
    moved = mean_interval(scale * np.array(values) + shift, **QUICK)
    for name in ("mean", "low", "high"):
        assert getattr(moved, name) == pytest.approx(scale * getattr(plain, name) + shift, abs=1e-9)


@given(st.integers(2, 30), st.integers(0, 1000))
def test_swapping_the_sides_turns_the_sign_and_nothing_else(count, seed):
    a, b = draws(count, seed=seed), draws(count, seed=seed + 1)
    one, other = paired_difference(a, b, **QUICK_PAIRED), paired_difference(b, a, **QUICK_PAIRED)
    assert one.difference == pytest.approx(-other.difference, abs=1e-12)
    assert one.low == pytest.approx(-other.high, abs=1e-9)
    assert one.high == pytest.approx(-other.low, abs=1e-9)
    assert one.p == pytest.approx(other.p)


def test_pairing_takes_out_what_both_sides_share():
    hard = 10 * draws(100)
    difference = paired_difference(hard + 0.1 * draws(100, seed=1) + 0.2, hard, **QUICK_PAIRED)
    assert difference.low > 0.1 and difference.high < 0.3
    assert mean_interval(hard, **QUICK).high - mean_interval(hard, **QUICK).low > 2


def test_the_interval_is_scipys_percentile_bootstrap():
    values = draws(50)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=500, method="percentile", confidence_level=0.9, rng=np.random.default_rng(3)
    ).confidence_interval
    interval = mean_interval(values, confidence=0.9, resamples=500, seed=3)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=0.05)
    assert interval.high - interval.low == pytest.approx(2 * 1.645 * values.std() / 50**0.5, rel=0.15)


def test_p_is_exact_for_few_queries_and_agrees_with_scipy_on_both_samples():
    a, b = draws(8) + 0.5, draws(8, seed=1)
    expected = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x) - np.mean(y), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert paired_difference(a, b, resamples=100).p == pytest.approx(expected)


def test_ties_change_neither_p_nor_are_they_left_out_of_the_difference():
    a = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 1.0])
    b = np.array([0.0, 0.0, 0.0, 0.0, 0.6, 0.0])
    tied = np.full(6, 0.3)
    alone = paired_difference(a, b, resamples=100)
    among_ties = paired_difference(np.r_[a, tied], np.r_[b, tied], resamples=100)
    assert among_ties.p == alone.p
    assert among_ties.difference == pytest.approx(alone.difference / 2)


def test_p_of_equal_selectors_is_uniform_and_p_of_different_ones_is_small():
    ps = [paired_difference(draws(20, seed=s), draws(20, seed=s + 500), **QUICK_PAIRED).p for s in range(100)]
    assert 0.01 <= np.mean(np.array(ps) <= 0.1) <= 0.2
    assert 0.35 <= np.mean(np.array(ps) <= 0.5) <= 0.65
    assert paired_difference(draws(20) + 3, draws(20, seed=1), **QUICK_PAIRED).p < 2 / 200


def test_ninety_five_in_a_hundred_intervals_hold_the_truth():
    held = [i.low <= 0 <= i.high for i in (mean_interval(draws(60, seed=s), **QUICK) for s in range(200))]
    assert 0.89 <= np.mean(held) <= 0.99


def test_values_of_several_seeds_are_averaged_per_query():
    values = draws(3, 40)
    only_queries = mean_interval(values, resample_seeds=False, **QUICK)
    assert only_queries == mean_interval(values.mean(axis=0), **QUICK)
    assert only_queries.mean == mean_interval(values, **QUICK).mean
    assert mean_interval(values, **QUICK).n == 40


def test_one_row_stands_beside_every_seed_of_the_other_side():
    trained, fixed = draws(3, 40), draws(40, seed=1)
    one_row, repeated = paired_difference(trained, fixed), paired_difference(trained, np.tile(fixed, (3, 1)))
    assert one_row == repeated
    assert one_row.difference == pytest.approx(trained.mean() - fixed.mean())


def test_resampling_seeds_widens_the_interval_where_seeds_differ_and_only_there():
    noise = 0.1 * draws(50)
    apart = np.array([[-1.0], [0.0], [1.0]]) + noise
    alike = np.tile(noise, (3, 1))
    fixed, resampled = mean_interval(apart, resample_seeds=False), mean_interval(apart)
    assert resampled == mean_interval(apart, resample_seeds=True)
    # With 3 seeds all draws of the worst seed have chance 1/27: the 95 % interval reaches both ends.
    assert fixed.high - fixed.low < 0.1
    assert resampled.low < -0.9 and resampled.high > 0.9
    same = mean_interval(alike)
    assert same.high - same.low == pytest.approx(fixed.high - fixed.low, rel=0.2)
    assert paired_difference(apart, alike).high > 0.9


def runs_apart(seeds_a: int, seeds_b: int, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two runs of one method, 200 queries: every training is better or worse by `spread` points or so."""
    generator = np.random.default_rng(seed)
    hard = 20 * generator.normal(size=200)
    sides = [
        hard + spread * generator.normal(size=(seeds, 1)) + 25 * generator.normal(size=(seeds, 200))
        for seeds in (seeds_a, seeds_b)
    ]
    return sides[0], sides[1]


@pytest.mark.parametrize(("seeds_a", "seeds_b"), [(2, 2), (3, 3), (3, 2)])
def test_trainings_that_vary_are_no_difference_between_methods(seeds_a: int, seeds_b: int):
    pooled = {"resamples": 100, "permutations": 199, "seeds": "independent"}
    runs = [runs_apart(seeds_a, seeds_b, 3, s) for s in range(150)]
    both_levels = np.mean([paired_difference(a, b, **pooled).p <= 0.05 for a, b in runs])
    queries_only = np.mean([paired_difference(a, b, resample_seeds=False, **pooled).p <= 0.05 for a, b in runs])
    assert both_levels <= 0.1 < 0.2 <= queries_only


def test_seeds_that_agree_leave_p_to_the_queries():
    same = np.tile(draws(60) + 0.4, (3, 1))
    one_level = paired_difference(same, np.zeros(60), resample_seeds=False)
    assert paired_difference(same, np.zeros(60)).p == one_level.p < 0.05
    assert (one_level.error, one_level.freedom) == (pytest.approx(same[0].std(ddof=1) / 60**0.5), 59)


def test_the_standard_error_is_that_of_pairs_of_runs_drawn_again_and_again():
    pooled = [paired_difference(*runs_apart(3, 2, 3, s), resamples=100, seeds="independent") for s in range(300)]
    spread = np.std([found.difference for found in pooled])
    assert np.mean([found.error**2 for found in pooled]) ** 0.5 == pytest.approx(spread, rel=0.15)
    assert spread == pytest.approx((9 * (1 / 3 + 1 / 2) + 625 * (1 / 3 + 1 / 2) / 200) ** 0.5, rel=0.15)
    assert all(1 <= found.freedom <= 199 for found in pooled)


def test_few_degrees_of_freedom_make_less_detectable():
    plain, few = smallest_detectable(40, 800), smallest_detectable(40, 800, freedom=4)
    assert few > 1.2 * plain
    assert detection_power(few, 40, 800, freedom=4) == pytest.approx(0.8)


def test_a_difference_far_beyond_what_trainings_vary_is_found_with_three_seeds():
    a, b = runs_apart(3, 3, 0.5, 0)
    assert paired_difference(a + 12, b, seeds="independent").p < 0.01


def test_independent_seeds_need_not_be_as_many_and_their_order_says_nothing():
    a, b = runs_apart(3, 2, 3, 0)
    one = paired_difference(a, b, seeds="independent")
    other = paired_difference(a[::-1], b, seeds="independent")
    assert (one.difference, one.p) == pytest.approx((other.difference, other.p))
    assert one.difference == pytest.approx(a.mean() - b.mean())
    # Seeds in common take out what they share; independent ones cannot.
    c, _ = runs_apart(3, 3, 3, 1)
    shared = paired_difference(c + 0.1 * draws(3, 200), c)
    apart = paired_difference(c + 0.1 * draws(3, 200), c, seeds="independent")
    assert shared.high - shared.low < 0.2 * (apart.high - apart.low)


def test_constant_values_give_an_interval_of_no_width():
    assert mean_interval([0.3] * 10) == Interval(pytest.approx(0.3), pytest.approx(0.3), pytest.approx(0.3), 10)
    interval = mean_interval([0.1] * 7)
    assert interval.low == interval.mean == interval.high
    assert mean_interval(np.full((3, 5), 0.7), resample_seeds=True).low == pytest.approx(0.7)


def test_equal_sides_differ_by_nothing_and_p_is_one():
    values = draws(10)
    assert paired_difference(values, values) == Difference(0.0, 0.0, 0.0, 1.0, 10, 0.0, 9.0)


def test_an_equal_difference_everywhere_has_an_interval_of_no_width():
    a = np.arange(12.0)
    difference = paired_difference(a + 2, a)
    assert (difference.difference, difference.low, difference.high) == (2.0, 2.0, 2.0)
    assert difference.p == pytest.approx(2 / 2**12)


def test_a_single_query_that_differs_is_no_evidence():
    difference = paired_difference([1.0, 0.3, 0.3], [0.0, 0.3, 0.3])
    assert difference.p == 1.0
    assert difference.low == 0.0 < difference.difference


def test_the_same_call_gives_the_same_figures_and_another_seed_others():
    a, b = draws(40), draws(40, seed=1)
    assert paired_difference(a, b) == paired_difference(a, b)
    assert mean_interval(a, seed=1) == mean_interval(a, seed=1) != mean_interval(a, seed=2)


def test_a_higher_confidence_gives_a_wider_interval():
    wide, narrow = mean_interval(draws(40), confidence=0.99), mean_interval(draws(40), confidence=0.8)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("values", [[], [0.5], [[0.5]], [[]], [[[0.1, 0.2]]]])
def test_too_few_queries_or_another_shape_is_an_error(values):
    with pytest.raises(InputError, match=r"at least 2 queries|have the shape"):
        mean_interval(values)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_failure_is_never_averaged_away(bad):
    with pytest.raises(InputError, match="row 2: a value is not a finite number"):
        mean_interval([0.1, 0.2, bad, 0.4])


def test_sides_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="3 and 4 queries"):
        paired_difference([1, 2, 3], [1, 2, 3, 4])
    with pytest.raises(InputError, match="2 and 3 seeds"):
        paired_difference(np.ones((2, 4)), np.ones((3, 4)))
    with pytest.raises(InputError, match="at least 2 of them"):
        mean_interval([1, 2, 3], resample_seeds=True)


def scipys_p(differences: np.ndarray, resamples: float = np.inf) -> float:
    generator = np.random.default_rng(0)
    return stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=resamples, rng=generator
    ).pvalue


@pytest.mark.parametrize("values", [[1.0, -0.5, 2.0, 0.3], [1, 1, 1, -1, -1, 0], [0.1, 0.2, 0.3, -0.6], [0, 0, 0]])
def test_the_sign_flip_p_of_few_queries_is_scipys(values):
    assert sign_flip_p(values)[0] == pytest.approx(scipys_p(np.array(values, dtype=float)))


@pytest.mark.parametrize("seed", range(3))
def test_the_sign_flip_p_of_many_queries_is_scipys_but_for_the_draws(seed):
    values = draws(60, seed=seed) + 0.15
    assert sign_flip_p(values)[0] == pytest.approx(scipys_p(values, 9999), abs=0.02)


def test_rows_tested_together_have_the_p_they_have_alone():
    rows = np.stack([draws(40, seed=s) * (np.arange(40) < 40 - 9 * s) for s in range(4)])
    assert sign_flip_p(rows).tolist() == [sign_flip_p(row)[0] for row in rows]
    assert np.ptp(sign_flip_p(rows)) > 0


@pytest.mark.parametrize("shift", [1.0, 1.3, 1.6])
def test_a_small_p_is_that_of_all_sign_flips_however_few_are_drawn(shift):
    grid = np.round(draws(18, seed=4) + shift, 1)  # sums that tie, as accuracies do
    exact = sign_flip_p(grid, permutations=2**18)[0]
    assert 0 < exact < 0.01
    assert sign_flip_p(grid, permutations=999)[0] == pytest.approx(exact, rel=0.15)


def test_a_p_where_all_signs_agree_is_that_of_the_two_flips_that_do():
    values = np.abs(draws(30)) + 1
    for permutations in (999, 1000, 2500):
        assert sign_flip_p(values, permutations=permutations)[0] == pytest.approx(2 / 2**30, rel=0.1)


def test_a_clear_difference_survives_the_correction_of_a_large_table():
    differences = 100 * (draws(200) > -0.5) - 100.0 * (draws(200, seed=1) > 0.2)
    p = sign_flip_p(differences)[0]
    t = stats.ttest_1samp(differences, 0).pvalue
    assert t / 10 < p < 10 * t and holm([p] * 150)[0] < 1e-4


@given(st.floats(0.1, 50), st.integers(3, 3000), st.sampled_from([0.01, 0.05]), st.sampled_from([0.5, 0.8, 0.95]))
def test_the_smallest_detectable_difference_has_the_power_asked_for(std, n, alpha, power):
    smallest = smallest_detectable(std, n, alpha=alpha, power=power)
    assert detection_power(smallest, std, n, alpha=alpha) == pytest.approx(power, abs=1e-6)
    assert smallest_detectable(2 * std, n, alpha=alpha, power=power) == pytest.approx(2 * smallest, rel=1e-6)


def test_on_many_queries_it_is_the_normal_formula():
    z = stats.norm.isf(0.025) + stats.norm.isf(0.2)
    assert smallest_detectable(40, 800) == pytest.approx(z * 40 / 800**0.5, rel=0.002)
    assert smallest_detectable(40, 800) == pytest.approx(3.97, abs=0.01)
    assert smallest_detectable(40, 8) > 1.1 * z * 40 / 8**0.5
    assert smallest_detectable(0, 800) == 0


def test_power_grows_from_alpha_to_one():
    powers = [detection_power(size, 30, 100) for size in (0, 1, 5, 10, 60)]
    assert powers[0] == 0.05 and powers == sorted(powers) and powers[-1] == pytest.approx(1)
    assert detection_power(-5, 30, 100) == powers[2]
    assert (detection_power(0, 0, 9), detection_power(1, 0, 9)) == (0.05, 1.0)


def test_power_is_how_often_the_test_finds_the_difference():
    tables = 30 * draws(400, 100) + 8
    assert np.mean(sign_flip_p(tables, permutations=999) <= 0.05) == pytest.approx(
        detection_power(8, 30, 100), abs=0.06
    )


@pytest.mark.parametrize(("std", "n", "power"), [(-1, 9, 0.8), (np.nan, 9, 0.8), (1, 1, 0.8), (1, 9, 1.0)])
def test_power_refuses_what_no_sample_has(std, n, power):
    with pytest.raises(InputError, match=r"standard deviation|probability of 1"):
        smallest_detectable(std, n, power=power)


def test_benjamini_and_hochberg_by_hand_and_as_scipy_has_it():
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.02, 0.04, 0.04, 0.02))
    assert benjamini_hochberg([]) == ()
    p_values = np.random.default_rng(0).random(200) ** 3
    assert benjamini_hochberg(p_values.tolist()) == pytest.approx(stats.false_discovery_control(p_values))
    with pytest.raises(InputError, match="between 0 and 1"):
        benjamini_hochberg([0.5, 1.5])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.6, 0.7]) == (1.0, 1.0)
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(ps):
    adjusted = holm(ps)
    assert min(adjusted) == pytest.approx(min(1.0, len(ps) * min(ps)))
    for p, q in zip(ps, adjusted, strict=True):
        assert p <= q <= min(1.0, len(ps) * p)
    in_order = [adjusted[i] for i in np.argsort(ps, kind="stable")]
    assert in_order == sorted(in_order)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_holm_refuses_what_is_no_probability(p):
    with pytest.raises(InputError, match="between 0 and 1"):
        holm([0.5, p])
