"""Which answers repeat a demonstration: exact on small cases, and the same whatever the order of the rows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.evaluation.copying import copying, copying_statements
from shotsmith.evaluation.results import Result, result_with
from shotsmith.metrics.table import METRICS
from shotsmith.recipe import EvaluationSettings
from shotsmith.reports.language import LANGUAGES

SETTINGS = EvaluationSettings(resamples=100)
ANSWERS = {1: "red", 2: "blue", 3: "Two", 4: "a dog"}


def row(
    query: int,
    text: str | None,
    sequence: tuple[int, ...],
    *,
    right: bool = False,
    selector: str = "grpo",
    shots: int | None = None,
    **others: Any,
) -> Result:
    fields = {"seed": None, "draw": 0, "question_type": "kind", **others}
    scores = {} if text is None else {"exact_match": float(right)}
    shown = len(sequence) if shots is None else shots
    return result_with(scores, query_id=query, selector=selector, shots=shown, sequence=sequence, text=text, **fields)


def shown(result: Result) -> list[str]:
    return [ANSWERS[one] for one in result.sequence[result.left_out :]]


def cell(results: list[Result], shots: int | str = "mean", selector: str = "grpo") -> dict[str, Any]:
    (found,) = (r for r in copying(results, shown, SETTINGS) if (r["selector"], r["shots"]) == (selector, shots))
    return found


def test_the_shares_are_those_counted_by_hand() -> None:
    results = [
        row(1, "blue", (1, 2), right=True),  # copied, the last
        row(2, "red", (1, 2)),  # copied wrongly, not the last
        row(3, "green", (1, 2)),  # wrong, not copied
        row(4, "2", (1, 3)),  # copied wrongly, the last, in another spelling
    ]
    found = cell(results, 2)
    assert (found["copied"], found["wrong"], found["n"]) == (75, 75, 4)
    assert found["wrong_copied"] == pytest.approx(100 * 2 / 3)
    assert (found["last"], found["others"], found["last_shot"], found["last_n"]) == (50, 25, 25, 4)
    assert found["low"] <= 25 <= found["high"] and found["low"] < found["high"]


def test_other_positions_are_averaged() -> None:
    results = [row(query, "red", (1, 1, 2, 4)) for query in range(3)]
    found = cell(results, 4)
    assert (found["last"], found["others"]) == (0, pytest.approx(200 / 3))
    assert found["low"] == found["high"] == found["last_shot"] == pytest.approx(-200 / 3)


def test_one_demonstration_has_no_last_among_others() -> None:
    found = cell([row(1, "red", (1,)), row(2, "blue", (1,))], 1)
    assert found["copied"] == 50 and found["last_n"] == 0
    assert {found[name] for name in ("last", "others", "last_shot", "low", "high")} == {None}


def test_the_mean_is_over_the_numbers_of_shots_and_the_last_over_those_with_several() -> None:
    results = [
        row(query, text, sequence)
        for query in (1, 2)
        for text, sequence in (("red", (1,)), ("blue", (1, 2)), ("none of it", (1, 2, 3)))
    ]
    found = cell(results)
    assert found["copied"] == pytest.approx(200 / 3) and found["last_shot"] == pytest.approx(50)


def test_where_nothing_is_wrong_no_share_of_it_is_told() -> None:
    found = cell([row(query, "red", (1, 2), right=True) for query in (1, 2)], 2)
    assert (found["wrong"], found["wrong_copied"]) == (0, None)


def test_a_failed_completion_takes_its_query_out() -> None:
    results = [row(1, "red", (1, 2)), row(2, "red", (1, 2)), row(3, None, (1, 2), failure="too long")]
    assert cell(results, 2)["n"] == 2 and cell(results, 2)["copied"] == 100
    assert copying([results[-1]], shown, SETTINGS) == []


def test_draws_are_averaged_before_queries_are() -> None:
    results = [row(query, text, (1, 2), draw=draw) for query in (1, 2) for draw, text in enumerate(("red", "green"))]
    assert (cell(results, 2)["copied"], cell(results, 2)["n"]) == (50, 2)


def test_what_a_budget_left_out_of_the_prompt_is_not_copied() -> None:
    results = [row(query, "red", (1, 2, 4), left_out=1) for query in (1, 2)]
    assert cell(results, 3)["copied"] == 0


def test_who_shows_nothing_or_asks_no_vlm_has_no_row() -> None:
    results = [
        row(1, "red", (), selector="zero_shot", shots=2),
        row(1, "red", (1,), selector="majority_vote"),
        row(1, "red", (1,), selector="majority_vote@bank"),
        row(1, "red", (1,)),
    ]
    assert {found["selector"] for found in copying(results, shown, SETTINGS)} == {"grpo"}


@pytest.mark.parametrize(
    ("metric", "same", "other"),
    [
        ("vqa_accuracy", ("Two dogs.", "2 dogs"), "two cats"),
        ("vqa_accuracy_stemmed", ("surfing", "surf"), "swim"),
        ("anls", ("Main  Street", "main street"), "main street."),
        ("relaxed_accuracy", ("12%", "0.12"), "12"),
        ("closeness", ("about 1,000 cars", "1000"), "1001"),
        ("choice_letter", ("The answer is (B)", "b"), "C"),
        ("choice_likelihood", ("red", "red"), "blue"),
    ],
)
def test_answers_are_the_same_where_the_metric_says_so(metric: str, same: tuple[str, str], other: str) -> None:
    form = METRICS[metric].form
    assert form(same[0]) == form(same[1]) != form(other)


texts = st.sampled_from(["red", "blue", "2", "green", None])
sequences = st.lists(st.sampled_from(sorted(ANSWERS)), min_size=0, max_size=3).map(tuple)
some_rows = st.lists(st.tuples(texts, sequences, st.booleans()), min_size=1, max_size=10)


@given(some_rows, st.randoms(use_true_random=False))
def test_shares_are_shares_and_no_order_of_rows_changes_them(given_rows: list[Any], random: Any) -> None:
    results = [
        row(query, text, sequence, right=right, shots=3) for query, (text, sequence, right) in enumerate(given_rows)
    ]
    found = copying(results, shown, SETTINGS)
    random.shuffle(results)
    assert copying(results, shown, SETTINGS) == found
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for one in found:
        for name in ("copied", "wrong", "wrong_copied", "last", "others"):
            assert one[name] is None or 0 <= one[name] <= 100
        if one["last_shot"] is not None:
            assert one["low"] - 1e-9 <= one["last_shot"] <= one["high"] + 1e-9
            assert one["last_shot"] == pytest.approx(one["last"] - one["others"])


@pytest.mark.parametrize(
    ("texts", "key"),
    [(("blue",) * 4, "more"), (("red",) * 4, "less"), (("red", "blue", "red", "blue"), "open")],
)
def test_the_report_says_whether_the_last_counts_more(texts: tuple[str, ...], key: str) -> None:
    rows = copying([row(query, text, (1, 2)) for query, text in enumerate(texts)], shown, SETTINGS)
    statements = dict(copying_statements(rows, "grpo"))
    assert list(statements) == ["copying.answers", "copying.wrong", f"copying.last.{key}"]
    for language in LANGUAGES.values():
        said = [language.say(name, **values) for name, values in statements.items()]
        assert "GRPO" in said[0] and "100" in said[0]
    assert list(copying_statements([], "grpo")) == []
