"""What is said of two runs, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.errors import InputError
from shotsmith.evaluation.compare import ComparedRow, Comparison, as_metric, compare
from shotsmith.evaluation.results import Result
from shotsmith.statistics import holm, paired_difference, smallest_detectable

QUERIES = 60
Accuracy = Callable[[int, int, int], float | None]
"""Of query, shots and seed."""


def results(
    selector: str, accuracy: Accuracy, shots: Iterable[int] = (1, 2), seeds: Iterable[int | None] = (0,)
) -> list[Result]:
    return [
        Result(query, selector, seed, number, 0, (), None if value is None else "x", value, value, f"kind {query % 3}")
        for seed in seeds
        for number in shots
        for query in range(QUERIES)
        for value in [accuracy(query, number, seed or 0)]
    ]


def coin(share: float, salt: int = 0) -> Accuracy:
    return lambda query, shots, seed: float(np.random.default_rng((query, shots, seed, salt)).random() < share)


BASE = [*results("supervised", coin(0.2)), *results("grpo", coin(0.3)), *results("mixed", coin(0.4), seeds=(None,))]
BETTER = [*results("grpo", coin(0.9, 1)), *results("mixed", coin(0.4), seeds=(None,))]
SAME = [*results("grpo", coin(0.3)), *results("mixed", coin(0.4), seeds=(None,))]


def found(**changes: object) -> Comparison:
    return compare({"base": BASE, "better": BETTER, "same": SAME}, resamples=200, **changes)  # type: ignore[arg-type]


def test_every_run_is_set_against_the_first_at_each_number_of_shots_and_on_the_mean() -> None:
    comparison = found()
    assert (comparison.base, comparison.runs, comparison.queries) == ("base", ("better", "same"), QUERIES)
    assert [(row.a, row.b, row.shots) for row in comparison.rows] == [
        (f"{run}: grpo", "base: grpo", shots) for run in ("better", "same") for shots in (1, 2, "mean")
    ]


def test_a_row_is_the_paired_difference_of_the_accuracies_in_percent() -> None:
    row = found().rows[1]
    a, b = ([100 * (accuracy(query, 2, 0) or 0) for query in range(QUERIES)] for accuracy in (coin(0.9, 1), coin(0.3)))
    expected = paired_difference(a, b, resamples=200)
    assert (row.difference, row.low, row.high, row.p_alone) == (
        expected.difference,
        expected.low,
        expected.high,
        expected.p,
    )
    assert (row.n, row.seeds) == (QUERIES, (1, 1))
    assert row.detectable == pytest.approx(smallest_detectable(np.std(np.subtract(a, b), ddof=1), QUERIES))


def test_p_is_corrected_over_all_rows_and_decides_with_the_interval() -> None:
    rows = found().rows
    assert [row.p for row in rows] == list(holm([row.p_alone for row in rows]))
    assert [row.decided for row in rows] == [True] * 3 + [False] * 3
    assert found().undecided == rows[3:]
    assert not any(row.decided for row in found(alpha=1e-60).rows)


def test_equal_answers_are_no_difference_and_need_no_luck() -> None:
    for row in found().rows[3:]:
        assert (row.difference, row.low, row.high, row.p, row.detectable) == (0, 0, 0, 1, 0)


def test_the_last_trained_phase_stands_for_a_run_unless_selectors_are_named() -> None:
    shorter = [result for result in BASE if result.selector != "grpo"]
    assert compare({"base": BASE, "shorter": shorter}, resamples=100).rows[0].a == "shorter: supervised"
    named = compare({"base": BASE, "better": BETTER}, selectors=["mixed", "grpo"], resamples=100).rows
    pairs = [("better: mixed", "base: mixed"), ("better: grpo", "base: grpo")]
    assert [(row.a, row.b) for row in named] == [pair for pair in pairs for _ in range(3)]


def test_another_metric_can_be_compared() -> None:
    doubtful = [replace(result, vqa_accuracy_normalised=1.0) for result in BASE]
    comparison = compare({"a": BASE, "b": doubtful}, metric=as_metric("vqa_accuracy_normalised"), resamples=100)
    assert comparison.metric == "vqa_accuracy_normalised" and comparison.rows[0].difference > 50
    assert compare({"a": BASE, "b": doubtful}, resamples=100).rows[0].difference == 0
    with pytest.raises(InputError, match=r"no metric is called 'bleu'; there are vqa_accuracy, "):
        as_metric("bleu")


def test_seeds_of_different_runs_are_pooled_though_they_are_not_as_many() -> None:
    luck = (0.0, 0.3, -0.1)
    several = results(
        "grpo", lambda q, k, s: float(np.random.default_rng((q, k)).random() < 0.5 + luck[s]), seeds=range(3)
    )
    one = [result for result in several if result.seed == 0]
    comparison = compare({"one": one, "several": several}, resamples=500)
    row = comparison.rows[-1]
    assert row.seeds == (3, 1) and row.difference == pytest.approx(100 * sum(luck) / 3, abs=5)
    # What the second training won by luck makes no method better.
    lucky = compare({"one": one, "lucky": [r for r in several if r.seed == 1]}, resamples=500).rows[-1]
    assert lucky.decided and not row.decided
    assert row.high - row.low > 1.3 * (lucky.high - lucky.low)
    assert row.detectable > 1.3 * lucky.detectable


def test_a_failure_takes_its_query_out_of_the_rows_it_counts_in() -> None:
    lossy = results("grpo", lambda q, k, s: None if (q, k) == (7, 2) else coin(0.9, 1)(q, k, s))
    rows = compare({"base": BASE, "lossy": lossy}, resamples=100).rows
    assert [row.n for row in rows] == [QUERIES, QUERIES - 1, QUERIES - 1]


def test_runs_tested_on_other_queries_are_refused_unless_the_shared_ones_are_asked_for() -> None:
    fewer = [result for result in BETTER if result.query_id >= 20]
    with pytest.raises(InputError, match=r"60 in base, 40 in fewer; 40 in all of them.*--shared"):
        compare({"base": BASE, "fewer": fewer})
    shared = compare({"base": BASE, "fewer": fewer}, shared=True, resamples=100)
    cut = compare({"base": [r for r in BASE if r.query_id >= 20], "fewer": fewer}, resamples=100)
    assert shared == cut and shared.queries == 40


def test_runs_on_other_data_are_refused_though_the_ids_are_the_same() -> None:
    other = [
        replace(result, question_type="other" if result.query_id == 5 else result.question_type) for result in SAME
    ]
    with pytest.raises(InputError, match="row 5: is a different question"):
        compare({"base": BASE, "other": other}, shared=True)


def test_only_numbers_of_shots_that_all_runs_have_are_compared() -> None:
    long = results("grpo", coin(0.9, 1), shots=(2, 3))
    rows = compare({"base": BASE, "long": long}, resamples=100).rows
    assert [row.shots for row in rows] == [2, "mean"] and rows[0].difference == rows[1].difference
    with pytest.raises(InputError, match="no number of shots in common"):
        compare({"base": BASE, "long": results("grpo", coin(0.9), shots=(3,))})


def test_what_cannot_be_compared_is_said() -> None:
    with pytest.raises(InputError, match="at least two runs"):
        compare({"base": BASE})
    with pytest.raises(InputError, match=r"better has no results of 'oracle'; it has grpo, mixed"):
        compare({"base": [*BASE, *results("oracle", coin(1))], "better": BETTER}, selectors=["oracle"])
    with pytest.raises(InputError, match=r"free has no trained policy; name a selector: mixed"):
        compare({"base": BASE, "free": [r for r in BASE if r.selector == "mixed"]})


def test_the_json_form_is_stable() -> None:
    value = json.loads(json.dumps(found().to_json(), allow_nan=False))
    assert list(value) == ["base", "runs", "metric", "queries", "confidence", "alpha", "power", "rows"]
    keys = ["a", "b", "shots", "difference", "low", "high", "p", "p_alone", "detectable", "n", "seeds", "decided"]
    assert [field.name for field in fields(ComparedRow)] == keys == list(value["rows"][0])


@given(st.floats(0, 1), st.floats(0, 1))
def test_changing_places_turns_the_sign_and_nothing_else(share_a: float, share_b: float) -> None:
    a, b = results("grpo", coin(share_a, 2)), results("grpo", coin(share_b, 3))
    there, back = (compare(runs, resamples=100).rows for runs in ({"a": a, "b": b}, {"b": b, "a": a}))
    for one, other in zip(there, back, strict=True):
        assert (one.difference, one.p, one.detectable) == pytest.approx((-other.difference, other.p, other.detectable))
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
