"""The value of demonstrations: by hand, against least squares and enumeration, without effect, and its interval."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.worth.asked import AskedPrompt
from shotsmith.worth.value import values


def prompt(query: int, shown: tuple[int, ...], score: float) -> AskedPrompt:
    return AskedPrompt("train", query, shown, "", score)


def test_a_value_is_the_mean_difference_within_queries() -> None:
    asked = [prompt(1, (7,), 1.0), prompt(1, (8,), 0.5), prompt(2, (7,), 0.6), prompt(2, (8,), 0.0)]
    found = values(asked)
    assert found[7].value == pytest.approx(0.55) and found[8].value == pytest.approx(-0.55)
    assert (found[7].queries, found[7].prompts) == (2, 2)
    low, high = found[7].low, found[7].high
    assert low is not None and high is not None and low < 0.55 < high


def test_an_entry_that_easy_queries_are_shown_is_not_called_useful() -> None:
    easy = [prompt(query, (entry,), 1.0) for query in range(10) for entry in (1, 2)]
    hard = [prompt(query, (entry,), 0.0) for query in range(10, 20) for entry in (2, 3)]
    assert {row: (value.value, value.p) for row, value in values([*easy, *hard]).items()} == {
        1: (0.0, 1.0),
        2: (0.0, 1.0),
        3: (0.0, 1.0),
    }
    assert all(value.low is None for value in values([*easy, *hard]).values())  # nothing varied: nothing is known


def test_prompts_of_different_lengths_are_not_compared() -> None:
    assert values([prompt(1, (7,), 1.0), prompt(1, (8, 9), 0.0)]) == {}


def test_an_entry_twice_in_a_prompt_counts_once() -> None:
    twice = values([prompt(1, (7, 7), 1.0), prompt(1, (8, 9), 0.0)])
    assert twice[7].prompts == 1 and twice[7].value == 1.0


def test_within_one_query_there_is_no_interval() -> None:
    found = values([prompt(1, (7,), 1.0), prompt(1, (8,), 0.0)])
    assert found[7].low is None and found[7].high is None


SCORES = st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0])
STRATA = st.lists(st.lists(st.tuples(st.integers(0, 2), SCORES), min_size=1, max_size=6), min_size=1, max_size=4)


@given(STRATA)
def test_the_value_is_the_coefficient_of_a_regression_with_one_constant_per_query(
    strata: list[list[tuple[int, float]]],
) -> None:
    asked = [prompt(query, (entry,), score) for query, some in enumerate(strata) for entry, score in some]
    for entry, value in values(asked).items():
        shows = np.array([float(one.shown[0] == entry) for one in asked])
        constants = np.array([[float(one.query == query) for query in range(len(strata))] for one in asked])
        scores = np.array([one.score for one in asked])
        solved = np.linalg.lstsq(np.column_stack([shows, constants]), scores, rcond=None)[0]
        assert value.value == pytest.approx(solved[0], abs=1e-9)


@given(st.lists(st.tuples(st.booleans(), SCORES), min_size=2, max_size=7))
def test_p_is_that_of_all_exchanges(members: list[tuple[bool, float]]) -> None:
    asked = [prompt(1, (0,) if shows else (1,), score) for shows, score in members]
    found = values(asked).get(0)
    if found is None:
        return
    levels = [round(20 * score / max(max(score for _, score in members), 1e-9)) for _, score in members]
    if not any(score for _, score in members):
        levels = [0] * len(levels)
    count = sum(shows for shows, _ in members)
    observed = sum(level for (shows, _), level in zip(members, levels, strict=True) if shows)
    sums = [sum(some) for some in combinations(levels, count)]
    below, above = (sum(one <= observed for one in sums), sum(one >= observed for one in sums))
    assert found.p == pytest.approx(min(1, 2 * min(below, above) / len(sums)))


@given(st.floats(-1, 0), STRATA)
def test_what_a_query_scores_without_any_entry_does_not_matter(
    shift: float, strata: list[list[tuple[int, float]]]
) -> None:
    def shifted(by: float) -> dict[int, float]:
        asked = [
            prompt(query, (entry,), score + by * query) for query, some in enumerate(strata) for entry, score in some
        ]
        return {row: value.value for row, value in values(asked).items()}

    assert shifted(shift) == pytest.approx(shifted(0.0), abs=1e-9)


def _simulated(rng: np.random.Generator, effect: float) -> list[AskedPrompt]:
    """30 queries of varying difficulty with eight prompts each; entry 0 adds `effect`, which varies by query."""
    asked = []
    for query in range(30):
        ease, own = rng.uniform(0.25, 0.75), effect + rng.normal(0, 0.05)
        for _ in range(8):
            entry = int(rng.integers(4))
            asked.append(prompt(query, (entry,), float(rng.random() < ease + own * (entry == 0))))
    return asked


def test_the_interval_holds_the_true_value_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(150):
        found = values(_simulated(rng, 0.2))[0]
        assert found.low is not None and found.high is not None
        held += found.low <= 0.2 <= found.high
    assert 0.9 <= held / 150 <= 1.0


def test_where_no_entry_matters_hardly_any_is_listed() -> None:
    rng = np.random.default_rng(0)
    listed = 0
    for _ in range(40):
        asked = [
            prompt(query, (int(rng.integers(20)),), float(rng.random() < 0.5)) for query in range(30) for _ in range(8)
        ]
        listed += any(value.adjusted <= 0.05 for value in values(asked).values())
    assert listed <= 5


def test_large_strata_are_tested_by_a_normal_distribution() -> None:
    asked = [prompt(1, (0,) if place < 40 else (1,), float(place < 60)) for place in range(100)]
    assert values(asked)[0].p < 1e-6
    mixed = [prompt(1, (0,) if place % 2 else (1,), float(place % 3 == 0)) for place in range(100)]
    assert values(mixed)[0].p > 0.5


def test_groups_are_judged_by_prompts_that_show_any_of_them() -> None:
    asked = [prompt(1, (4, 5), 1.0), prompt(1, (6, 7), 0.0), prompt(1, (5, 6), 1.0)]
    found = values(asked, unit=lambda row: 0 if row in (4, 5) else -1)
    assert set(found) == {0} and found[0].value == pytest.approx(1.0) and found[0].prompts == 2
