"""The columns that the page filters and searches say what the results file says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_explored import Told, explored_run

from shotsmith.errors import InputError
from shotsmith.evaluation.results import Result, read_results, write_results
from shotsmith.reports.gather import gather
from shotsmith.runs import Run
from shotsmith.view.query_list import LONGEST, NONE, answered, listing
from shotsmith.view.run_data import run_data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return explored_run(tmp_path_factory.mktemp("explored"))


def first(results: list[Result], query: int, selector: str, shots: int) -> Result:
    """The result of the lowest seed and draw."""
    return min(
        (one for one in results if (one.query_id, one.selector, one.shots) == (query, selector, shots)),
        key=lambda one: (one.seed or 0, one.draw),
    )


@pytest.mark.parametrize("shots", [1, 2])
def test_every_cell_is_the_first_result_of_the_file(run: Run, shots: int) -> None:
    listed, columns = listing(run_data(run)), answered(run_data(run), shots)
    results = read_results(run.results)
    failed = 0
    for place, query in enumerate(listed["id"]):
        for selector in ("zero_shot", "random", "mixed", "grpo"):
            result = first(results, query, selector, shots)
            column = columns["selectors"][selector]
            if result.text is None:
                assert (column["value"][place], column["text"][place]) == (NONE, NONE)
                failed += 1
            else:
                assert columns["values"][column["value"][place]] == result.vqa_accuracy
                assert columns["texts"][column["text"][place]] == result.text
    assert failed == (1 if shots == 1 else 0)


def test_queries_are_those_of_the_data_in_the_order_of_the_evaluation(run: Run) -> None:
    listed, data = listing(run_data(run)), run_data(run)
    assert listed["id"] == [query.id for query in data.queries] and len(set(listed["id"])) == 9
    for place, query in enumerate(data.queries):
        assert listed["texts"][listed["question"][place]] == query.question
        assert listed["kinds"][listed["kind"][place]] == query.question_type
        assert listed["texts"][listed["answers"][place][0]] == query.answer
        assert {listed["texts"][one] for one in listed["answers"][place]} == set(query.answers)
    assert [one["name"] for one in listed["selectors"]] == ["zero_shot", "random", "mixed", "grpo"]
    assert listed["selectors"][2] == {"name": "mixed", "en": "Mixed", "zh": "图文混合"}


def test_the_pair_and_the_counts_of_changes_are_those_of_the_report(run: Run) -> None:
    found = gather(run.folder).gallery
    assert found is not None
    listed = listing(run_data(run))
    assert listed["default"] == {"a": "mixed", "b": "grpo", "shots": found.shots}
    columns = answered(run_data(run), found.shots)
    values = [*columns["values"], None]
    pairs = zip(*(columns["selectors"][name]["value"] for name in ("mixed", "grpo")), strict=True)
    counts = {"fixed": 0, "broken": 0, "unchanged": 0}
    for before, after in ((values[one], values[other]) for one, other in pairs):
        if before is not None and after is not None:
            counts["fixed" if after > before else "broken" if after < before else "unchanged"] += 1
    assert counts == dict(found.counts) and counts["fixed"] and counts["broken"]


def test_long_texts_are_cut_and_equal_ones_sent_once(tmp_path: Path) -> None:
    run = explored_run(tmp_path, Told(question=lambda _number: "x" * 10_000, completion=lambda *_: "y" * 10_000))
    listed, columns = listing(run_data(run)), answered(run_data(run), 2)
    assert [text for text in listed["texts"] if text.startswith("x")] == ["x" * LONGEST]
    assert columns["texts"] == ["y" * LONGEST]
    assert len(json.dumps(listed)) < 5000 and len(json.dumps(columns)) < 2000


def test_a_run_that_is_not_evaluated_has_no_queries_and_says_why(tmp_path: Path) -> None:
    run = explored_run(tmp_path)
    run.results.unlink()
    assert listing(run_data(run)) == {"missing": "not_evaluated", "id": []}
    with pytest.raises(InputError, match="is not evaluated yet"):
        answered(run_data(run), 1)


def test_results_that_change_are_read_again(tmp_path: Path) -> None:
    run = explored_run(tmp_path)
    before = run_data(run)
    assert run_data(run) is before
    write_results(run.results, [one for one in before.results if one.shots == 1])
    assert listing(run_data(run))["shots"] == [1]
    with pytest.raises(InputError, match="with 2 shots; there are 1"):
        answered(run_data(run), 2)
