"""Accuracy by kind of question follows the results, and what cannot be told is not shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shotsmith.evaluation.results import Result
from shotsmith.reports.kinds import MOST_KINDS, by_kind


def result(query: int, selector: str, shots: int, value: float, kind: str) -> Result:
    return Result(query, selector, None, shots, 0, (), "text", value, value, kind)


def results(kinds: int = 2, queries: int = 40) -> list[Result]:
    """The policy gains one point in every second query of kind 0, and nothing elsewhere."""
    rows = []
    for query in range(queries):
        number = query % kinds
        for shots in (1, 2):
            gained = float(number == 0 and query % (2 * kinds) == 0)
            rows.append(result(query, "mixed", shots, 0.0, f"kind {number}"))
            rows.append(result(query, "grpo", shots, gained, f"kind {number}"))
            rows.append(result(query, "oracle", shots, 1.0, f"kind {number}"))
    return rows


def test_the_largest_gain_comes_first_with_an_interval_around_it() -> None:
    first, second = by_kind(results(), "mixed", "grpo", 0.95)
    assert (first.name, first.n, first.free, first.trained, first.oracle) == ("kind 0", 20, 0.0, 50.0, 100.0)
    assert first.low is not None and first.high is not None and first.low < first.difference == 50.0 < first.high
    assert (second.name, second.difference, second.low, second.high) == ("kind 1", 0.0, 0.0, 0.0)


def test_a_failed_completion_leaves_its_query_out() -> None:
    rows = results()
    failed = next(place for place, row in enumerate(rows) if row.selector == "grpo" and row.query_id == 0)
    rows[failed] = replace(rows[failed], text=None, vqa_accuracy=None, vqa_accuracy_normalised=None, failure="timeout")
    first = by_kind(rows, "mixed", "grpo", 0.95)[0]
    assert (first.n, first.trained) == (19, pytest.approx(100 * 9 / 19))


def test_a_kind_with_one_query_has_no_interval() -> None:
    rows = by_kind(results(kinds=2, queries=3), "mixed", "grpo", 0.95)
    assert {(row.n, row.low is None) for row in rows} == {(2, False), (1, True)}


@pytest.mark.parametrize(
    ("rows", "free"),
    [(results(kinds=1), "mixed"), (results(kinds=MOST_KINDS + 1, queries=100), "mixed"), (results(), "diverse")],
)
def test_what_cannot_be_told_by_kind_is_not_shown(rows: list[Result], free: str) -> None:
    assert by_kind(rows, free, "grpo", 0.95) == ()
