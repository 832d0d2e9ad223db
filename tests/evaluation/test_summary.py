from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shotsmith.evaluation.results import Result
from shotsmith.evaluation.summary import summarise
from shotsmith.recipe import EvaluationSettings
from shotsmith.statistics import holm, mean_interval, paired_difference

SETTINGS = EvaluationSettings(resamples=200)
QUERIES = range(40)


def rows_of(
    selector: str,
    accuracy: Callable[[int, int, int, int], float | None],
    shots: Iterable[int] = (1, 2),
    seeds: Iterable[int | None] = (None,),
    draws: Iterable[int] = (0,),
) -> list[Result]:
    """Results whose accuracy is a function of query, shots, seed (0 for None) and draw."""
    rows = []
    for seed in seeds:
        for number in shots:
            for draw in draws:
                for query in QUERIES:
                    value = accuracy(query, number, seed or 0, draw)
                    failure = "lost" if value is None else None
                    text = None if value is None else "text"
                    normalised = None if value is None else 1.0
                    stemmed = None if value is None else 0.5
                    rows.append(
                        Result(
                            query, selector, seed, number, draw, (), text, value, normalised, "kind", failure, stemmed
                        )
                    )
    return rows


def coin(*key: int) -> float:
    return float(np.random.default_rng(key).random() < 0.5)


def everything() -> list[Result]:
    return [
        *rows_of("zero_shot", lambda q, k, s, d: 0.0),
        *rows_of("random", lambda q, k, s, d: coin(1, q, k, d), draws=(0, 1, 2)),
        *rows_of("image_similar", lambda q, k, s, d: coin(2, q, k)),
        *rows_of("text_similar", lambda q, k, s, d: 0.25),
        *rows_of("mixed", lambda q, k, s, d: float(q % 10 < 7)),
        *rows_of("supervised", lambda q, k, s, d: coin(3, q, k, s), seeds=(0, 1)),
        *rows_of("rce", lambda q, k, s, d: coin(4, q, k, s), seeds=(0, 1)),
        *rows_of("grpo", lambda q, k, s, d: float(q % 10 < 7 + k + s - 1), seeds=(0, 1)),
        *rows_of("grpo_reversed", lambda q, k, s, d: coin(5, q, k, s), seeds=(0, 1)),
        *rows_of("oracle", lambda q, k, s, d: 1.0),
    ]


def cell(summary: dict[str, Any], selector: str, shots: int | str, metric: str = "vqa_accuracy") -> dict[str, Any]:
    (row,) = (r for r in summary["test"] if (r["selector"], r["shots"], r["metric"]) == (selector, shots, metric))
    return row


def contrast(summary: dict[str, Any], a: str, b: str, shots: int | str) -> dict[str, Any]:
    (row,) = (r for r in summary["contrasts"] if (r["a"], r["b"], r["shots"]) == (a, b, shots))
    return row


def test_the_mean_number_of_demonstrations_tells_when_a_policy_stops_by_itself() -> None:
    full = [replace(row, sequence=(1, 2)[: row.shots]) for row in rows_of("mixed", lambda q, k, s, d: 1.0)]
    some = [replace(row, selector="grpo", sequence=row.sequence if row.query_id % 4 else ()) for row in full]
    summary = summarise([*full, *some], SETTINGS)
    assert [cell(summary, "mixed", shots)["demonstrations"] for shots in (1, 2, "mean")] == [1, 2, 1.5]
    assert [cell(summary, "grpo", shots)["demonstrations"] for shots in (1, 2, "mean")] == [0.75, 1.5, 1.125]


def test_rows_have_exactly_the_promised_form() -> None:
    summary = summarise(everything(), SETTINGS)
    keys = {"selector", "shots", "metric", "accuracy", "low", "high", "n", "demonstrations"}
    assert all(set(row) == keys for row in summary["test"])
    assert all(set(row) == {"a", "b", "shots", "difference", "low", "high", "p"} for row in summary["contrasts"])
    assert {row["shots"] for row in summary["test"]} == {1, 2, "mean"}
    assert len(summary["test"]) == 10 * 3 * 3 and summary["excluded"] == []
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_accuracies_are_means_in_percent_with_their_interval() -> None:
    summary = summarise(everything(), SETTINGS)
    assert cell(summary, "mixed", 1)["accuracy"] == pytest.approx(70)
    assert cell(summary, "grpo", 1)["accuracy"] == pytest.approx(75)  # seeds at 70 and 80
    assert cell(summary, "grpo", "mean")["accuracy"] == pytest.approx(80)
    assert cell(summary, "oracle", 2)["low"] == cell(summary, "oracle", 2)["high"] == 100
    assert cell(summary, "zero_shot", 1, "vqa_accuracy_normalised")["accuracy"] == 100
    assert cell(summary, "zero_shot", 1, "vqa_accuracy_stemmed")["accuracy"] == 50
    interval = mean_interval([100.0 * (q % 10 < 7) for q in QUERIES], resamples=200)
    row = cell(summary, "mixed", "mean")
    assert (row["low"], row["high"], row["n"]) == (interval.low, interval.high, 40)


def test_random_draws_are_averaged_per_query() -> None:
    summary = summarise(everything(), SETTINGS)
    per_query = [np.mean([coin(1, q, 1, d) for d in range(3)]) * 100 for q in QUERIES]
    expected = mean_interval(per_query, resamples=200)
    row = cell(summary, "random", 1)
    assert (row["accuracy"], row["low"]) == pytest.approx((expected.mean, expected.low))


def test_contrasts_pair_queries_and_seeds() -> None:
    summary = summarise(everything(), SETTINGS)
    grpo = np.array([[100.0 * (q % 10 < 7 + 2 + s - 1) for q in QUERIES] for s in (0, 1)])
    supervised = np.array([[100.0 * coin(3, q, 2, s) for q in QUERIES] for s in (0, 1)])
    mixed = np.array([100.0 * (q % 10 < 7) for q in QUERIES])
    for name, values in {"supervised": supervised, "mixed": mixed}.items():
        expected = paired_difference(grpo, values, resamples=200)
        row = contrast(summary, "grpo", name, 2)
        assert (row["difference"], row["low"], row["high"]) == pytest.approx(
            (expected.difference, expected.low, expected.high)
        )


def test_the_contrasts_are_the_promised_ones_once_each() -> None:
    summary = summarise(everything(), SETTINGS)
    free = {"zero_shot", "random", "image_similar", "text_similar", "mixed"}
    pairs = [(row["a"], row["b"]) for row in summary["contrasts"] if row["shots"] == "mean"]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == {
        *(("grpo", other) for other in {"supervised", "rce", "grpo_reversed"} | free),
        ("supervised", "mixed"),
        ("rce", "mixed"),
        ("oracle", "grpo"),
        ("oracle", "mixed"),
    }
    assert len(summary["contrasts"]) == 3 * len(pairs)


def test_a_metric_that_an_older_file_lacks_is_left_out_of_the_tables() -> None:
    old = [replace(row, vqa_accuracy_stemmed=None) for row in everything()]
    assert {row["metric"] for row in summarise(old, SETTINGS)["test"]} == {"vqa_accuracy", "vqa_accuracy_normalised"}


def test_the_policy_is_set_against_the_vote_and_the_beam_where_they_entered() -> None:
    entered = [*everything(), *rows_of("majority_vote", lambda q, k, s, d: 0.5), *rows_of("beam", lambda q, k, s, d: 1)]
    summary = summarise(entered, SETTINGS)
    assert contrast(summary, "grpo", "majority_vote", "mean")["difference"] == pytest.approx(30)
    assert contrast(summary, "beam", "grpo", "mean")["difference"] == pytest.approx(20)


def test_p_values_are_corrected_over_the_whole_table() -> None:
    results = everything()
    summary = summarise(results, SETTINGS)
    raw = []
    for row in summary["contrasts"]:
        a, b = (arrays(results, row[side], row["shots"]) for side in "ab")
        raw.append(paired_difference(a, b, resamples=100).p)
    assert [row["p"] for row in summary["contrasts"]] == pytest.approx(list(holm(raw)))
    assert any(corrected["p"] > p for corrected, p in zip(summary["contrasts"], raw, strict=True))


def arrays(results: list[Result], selector: str, shots: int | str) -> np.ndarray:
    """Percent [seeds, queries], worked out in the plainest way."""
    own = [r for r in results if r.selector == selector and shots in (r.shots, "mean")]
    seeds = sorted({r.seed or 0 for r in own})
    return np.array(
        [[np.mean([100 * (r.vqa_accuracy or 0) for r in own if (r.seed or 0, r.query_id) == (s, q)]) for q in QUERIES]
         for s in seeds]
    )  # fmt: skip


def test_the_best_free_selector_is_best_on_validation_queries_and_not_on_the_test() -> None:
    results = [
        *rows_of("random", lambda q, k, s, d: 0.9 if k == 1 else 0.1),
        *rows_of("mixed", lambda q, k, s, d: 0.6),
        *rows_of("grpo", lambda q, k, s, d: 0.7, seeds=(0,)),
    ]
    validation = [
        *rows_of("random", lambda q, k, s, d: 0.9 if k == 1 else 0.5),
        *rows_of("mixed", lambda q, k, s, d: 0.6),
    ]
    chosen = summarise(results, SETTINGS, validation)
    assert chosen["best_free"] == {
        "selector": "random",
        "metric": "vqa_accuracy",
        "accuracy_on_val": pytest.approx(70),
        "n": 40,
        "best_shots": 1,
        "accuracy_on_val_at_best_shots": pytest.approx(90),
        "chosen_on": "val",
    }
    assert (chosen["contrasts"][0]["a"], chosen["contrasts"][0]["b"]) == ("grpo", "random")
    assert {row["selector"] for row in chosen["validation"]} == {"random", "mixed"}
    unknown = summarise(results, SETTINGS)
    assert (unknown["best_free"]["selector"], unknown["best_free"]["chosen_on"]) == ("mixed", "test")
    assert summarise(rows_of("grpo", lambda q, k, s, d: 1.0), SETTINGS)["best_free"] is None


def test_what_chooses_from_the_whole_bank_stands_beside_the_pools() -> None:
    results = [
        *rows_of("mixed", lambda q, k, s, d: 0.4),
        *rows_of("mixed@bank", lambda q, k, s, d: 0.9),
        *rows_of("grpo", lambda q, k, s, d: 0.6, seeds=(0,)),
        *rows_of("grpo@bank", lambda q, k, s, d: 0.8, seeds=(0,)),
    ]
    summary = summarise(results, SETTINGS, results)
    assert summary["best_free"]["selector"] == "mixed@bank"
    assert contrast(summary, "grpo", "mixed@bank", "mean")["difference"] == pytest.approx(-30)
    assert contrast(summary, "grpo@bank", "mixed@bank", "mean")["difference"] == pytest.approx(-10)
    assert contrast(summary, "grpo@bank", "grpo", "mean")["difference"] == pytest.approx(20)


def test_a_failure_excludes_its_query_where_it_counts_and_nowhere_else() -> None:
    def lossy(query: int, shots: int, seed: int, draw: int) -> float | None:
        return None if (query, shots, draw) == (3, 2, 1) else float(query == 3)

    results = [
        *rows_of("random", lossy, draws=(0, 1)),
        *rows_of("mixed", lambda q, k, s, d: 0.5),
        *rows_of("grpo", lambda q, k, s, d: 1.0 if q == 3 else 0.5, seeds=(0,)),
    ]
    summary = summarise(results, SETTINGS)
    assert (cell(summary, "random", 2)["n"], cell(summary, "random", 2)["accuracy"]) == (39, 0)
    assert (cell(summary, "random", "mean")["n"], cell(summary, "random", 1)["n"]) == (39, 40)
    assert cell(summary, "random", 1)["accuracy"] == pytest.approx(2.5)
    assert contrast(summary, "grpo", "random", 2)["difference"] == pytest.approx(50)  # without query 3
    assert contrast(summary, "grpo", "mixed", 2)["difference"] == pytest.approx(50 / 40)
    assert summary["excluded"] == [
        {"query_id": 3, "selector": "random", "seed": None, "shots": 2, "draw": 1, "failure": "lost"}
    ]


def test_a_selector_without_any_answer_is_left_out_and_listed() -> None:
    results = [*rows_of("mixed", lambda q, k, s, d: None), *rows_of("grpo", lambda q, k, s, d: 1.0, seeds=(0,))]
    summary = summarise(results, SETTINGS)
    assert {row["selector"] for row in summary["test"]} == {"grpo"}
    assert len(summary["excluded"]) == 80 and summary["contrasts"] == []


def test_the_most_trained_policy_stands_in_where_a_phase_was_skipped() -> None:
    results = [r for r in everything() if not r.selector.startswith("grpo")]
    pairs = {(row["a"], row["b"]) for row in summarise(results, SETTINGS)["contrasts"]}
    assert {("rce", "supervised"), ("rce", "mixed"), ("oracle", "rce")} <= pairs


def test_resamples_have_an_effect() -> None:
    results = rows_of("mixed", lambda q, k, s, d: q * q / 1600)
    usual, many = (
        cell(summarise(results, settings), "mixed", "mean")
        for settings in (
            SETTINGS,
            EvaluationSettings(resamples=300),
        )
    )
    assert (many["low"], many["high"]) != (usual["low"], usual["high"])


@pytest.mark.parametrize(
    ("text", "accuracy", "sole", "nothing"),
    [
        (lambda query: f"a {query}", lambda query: query % 2, None, False),
        (lambda query: "Yes." if query % 2 else "yes", lambda query: query % 2, "yes", False),
        (lambda query: f"a {query}", lambda query: 0, None, True),
        (lambda query: "no", lambda query: 0, "no", True),
    ],
)
def test_answers_that_no_selector_explains_are_noted(
    text: Callable[[int], str], accuracy: Callable[[int], float], sole: str | None, nothing: bool
) -> None:
    rows = rows_of("mixed", lambda q, k, s, d: float(accuracy(q)))
    results = [
        replace(one, text=text(one.query_id), vqa_accuracy_normalised=one.vqa_accuracy, vqa_accuracy_stemmed=None)
        for one in rows
    ]
    vote = [replace(one, selector="majority_vote", text="other", vqa_accuracy=1.0) for one in results]
    control = [replace(one, selector="mixed_blank_image", text="third", vqa_accuracy=1.0) for one in results]
    summary = summarise([*results, *vote, *control], SETTINGS)
    assert (summary["sole_answer"], summary["nothing_right"]) == (sole, nothing)
