"""Metrics of all answers together, and metrics in which less is better, in the tables of an evaluation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shotsmith.evaluation.accuracies import measured
from shotsmith.evaluation.compare import as_metric, compare
from shotsmith.evaluation.results import Result, result_with
from shotsmith.evaluation.summary import summarise
from shotsmith.metrics.labels import macro_f1
from shotsmith.metrics.measure import measure_of
from shotsmith.recipe import EvaluationSettings

SETTINGS = EvaluationSettings(resamples=200)
TRUTHS = ["cat", "dog", "dog", "cat", "owl", "dog"] * 4


def rows(metric: str, selector: str, texts: list[str], truths: list[str], shots: int = 1, seed: int | None = None):
    measure = measure_of(metric)
    return [
        result_with(
            measure.scores(text, [truth]),
            **{"query_id": query, "selector": selector, "seed": seed, "shots": shots, "draw": 0, "sequence": ()},
            text=text,
            question_type="",
            truth=truth if measure.of_data_set else None,
        )
        for query, (text, truth) in enumerate(zip(texts, truths, strict=True))
    ]


def cell(summary: dict, metric: str, selector: str, shots: int | str) -> dict:
    (found,) = [
        row for row in summary["test"] if (row["metric"], row["selector"], row["shots"]) == (metric, selector, shots)
    ]
    return found


def f1(texts: list[str], truths: list[str]) -> float:
    return 100 * macro_f1(texts, truths, np.ones((1, len(truths)))).item()


def test_macro_f1_is_reported_beside_exact_match_which_decides():
    wrong = ["cat"] * 6 + TRUTHS[6:]
    results = [
        *rows("macro_f1", "mixed", wrong, TRUTHS),
        *rows("macro_f1", "mixed", TRUTHS, TRUTHS, shots=2),
        *rows("macro_f1", "grpo", TRUTHS, TRUTHS, seed=0),
    ]
    summary = summarise(results, SETTINGS)
    assert measured(results) == ("exact_match",) and summary["test"][0]["metric"] == "exact_match"
    one = cell(summary, "macro_f1", "mixed", 1)
    assert one["accuracy"] == pytest.approx(f1(wrong, TRUTHS)) and one["n"] == 24
    assert one["low"] < one["accuracy"] < one["high"] < 100
    assert cell(summary, "macro_f1", "mixed", "mean")["accuracy"] == pytest.approx((100 + f1(wrong, TRUTHS)) / 2)
    perfect = cell(summary, "macro_f1", "grpo", 1)
    assert (perfect["low"], perfect["accuracy"], perfect["high"]) == (100, 100, 100)
    assert summarise(results, SETTINGS) == summary


def test_macro_f1_is_the_mean_over_seeds_and_leaves_out_queries_without_an_answer():
    wrong = ["cat"] * 6 + TRUTHS[6:]
    results = rows("macro_f1", "grpo", wrong, TRUTHS, seed=0) + rows("macro_f1", "grpo", TRUTHS, TRUTHS, seed=1)
    both = cell(summarise(results, SETTINGS), "macro_f1", "grpo", 1)
    assert both["accuracy"] == pytest.approx((100 + f1(wrong, TRUTHS)) / 2)
    results[0] = replace(results[0], text=None, exact_match=None, failure="lost")
    less = cell(summarise(results, SETTINGS), "macro_f1", "grpo", 1)
    assert less["n"] == 23 and less["accuracy"] == pytest.approx((100 + f1(wrong[1:], TRUTHS[1:])) / 2)


def test_an_error_is_reported_as_itself_and_closeness_decides():
    truths = ["10", "20", "30", "40"]
    results = [
        *rows("mean_absolute_error", "mixed", ["10", "22", "34", "no idea"], truths),
        *rows("mean_absolute_error", "grpo", ["10", "20", "30", "41"], truths, seed=0),
    ]
    summary = summarise(results, SETTINGS)
    assert measured(results) == ("closeness", "relaxed_accuracy", "mean_absolute_error")
    error = cell(summary, "mean_absolute_error", "mixed", 1)
    assert (error["accuracy"], error["n"]) == (2, 3) and 0 <= error["low"] <= 2 <= error["high"] <= 4
    assert cell(summary, "mean_absolute_error", "grpo", 1)["accuracy"] == 0.25
    assert cell(summary, "relaxed_accuracy", "mixed", 1)["accuracy"] == 25
    assert cell(summary, "closeness", "mixed", 1)["n"] == 4 and not summary["excluded"]
    first = summary["contrasts"][0]
    assert (first["a"], first["b"]) == ("grpo", "mixed") and first["difference"] > 0
    assert summary["best_free"]["metric"] == "closeness"


def test_runs_compared_by_an_error_differ_by_how_much_smaller_it_is():
    truths = [str(10 * n) for n in range(1, 13)]
    worse = rows("mean_absolute_error", "grpo", [str(int(truth) + 4) for truth in truths], truths, seed=0)
    better = rows("mean_absolute_error", "grpo", [str(int(truth) - 1) for truth in truths], truths, seed=0)
    found = compare({"old": worse, "new": better}, metric=as_metric("mean_absolute_error"), resamples=100)
    assert found.rows[0].a == "new: grpo" and found.rows[0].difference == pytest.approx(3)


def test_results_without_a_true_class_have_no_figure_of_all_answers():
    results: list[Result] = rows("exact_match", "mixed", TRUTHS, TRUTHS)
    assert {row["metric"] for row in summarise(results, SETTINGS)["test"]} == {"exact_match"}
