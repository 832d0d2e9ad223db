"""Whether retrieval or choice loses the points, counted on cases small enough to count by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_tasks import ScriptedVLM, make_tasks

from shotsmith.evaluation.evaluate import tried_already
from shotsmith.evaluation.recall import known, recall, shortlist
from shotsmith.evaluation.results import Result
from shotsmith.records import Completion, Request
from shotsmith.selectors.oracle import oracle

TASKS = replace(make_tasks(queries=3, index=20), pools=None)
RIGHT = {100: 4, 101: 5, 102: None}
"""The row of the bank that makes the answer to each query right."""


def answer(request: Request) -> Completion:
    wanted = RIGHT[request.query.id]
    return Completion(request.query.answer if wanted in {one.id for one in request.demonstrations} else "wrong")


def result(query: int, shown: int, selector: str = "grpo", seed: int | None = 0) -> Result:
    score = float(RIGHT[query] == shown)
    return Result(query, selector, seed, 1, 0, (shown,), "x", score, score, f"type {query % 2}")


@pytest.fixture
def rows() -> dict[object, dict[str, object]]:
    results = [result(100, 4), result(101, 1), result(102, 1)]
    found = oracle(TASKS, (1,), 20, ScriptedVLM(answer).ask, tried_already(TASKS, results), among=20, log_probs=False)
    lists = [
        shortlist(TASKS, "grpo", 0, [[4, 1], [5, 1], [1, 2]]),
        shortlist(TASKS, "mixed", None, [[4], [1], [1]]),
    ]
    results += [result(query, 1, "mixed", None) for query in (100, 101, 102)]
    return {(row["selector"], row["shots"]): row for row in recall(TASKS, known(TASKS, results, found), results, lists)}


def test_points_are_missed_by_retrieval_or_by_choice(rows: dict[object, dict[str, object]]) -> None:
    third = pytest.approx(100 / 3)
    policy, free = rows["grpo", 1], rows["mixed", 1]
    assert (policy["accuracy"], policy["within"], policy["oracle"]) == (third, pytest.approx(200 / 3), policy["within"])
    assert (policy["retrieval"], policy["choice"]) == (0, third)
    assert (free["accuracy"], free["retrieval"], free["choice"]) == (0, third, third)
    assert policy["right"] == pytest.approx(200 / 3) and policy["n"] == 3
    assert rows["grpo", "mean"] == {**policy, "shots": "mean"}


def test_each_kind_of_question_is_counted_by_itself(rows: dict[object, dict[str, object]]) -> None:
    kinds = rows["grpo", 1]["kinds"]
    assert set(kinds) == {"type 0", "type 1"}  # type: ignore[call-overload]
    assert (kinds["type 1"]["choice"], kinds["type 1"]["n"]) == (100, 1)  # type: ignore[index]
    assert (kinds["type 0"]["oracle"], kinds["type 0"]["choice"]) == (50, 0)  # type: ignore[index]


def test_what_a_selector_showed_counts_as_within_its_shortlist() -> None:
    results = [result(100, 4)]
    lists = [shortlist(TASKS, "grpo", 0, [[1], [1], [1]])]
    (row, _) = recall(TASKS, known(TASKS, results, []), results, lists)
    assert (row["within"], row["choice"], row["n"]) == (100, 0, 1)
