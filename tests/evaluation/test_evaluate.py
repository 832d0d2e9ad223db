from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small_tasks import ScriptedVLM, make_tasks

from shotsmith.errors import DataError, InputError
from shotsmith.evaluation.evaluate import Entrant, evaluate, evaluate_oracle, training_free_entrants
from shotsmith.evaluation.results import Result, read_results, write_results
from shotsmith.files import digest
from shotsmith.records import Completion, Failure, Request
from shotsmith.selectors.random import Random
from shotsmith.selectors.reversed import Reversed
from shotsmith.selectors.similar import mixed
from shotsmith.selectors.training_free import TRAINING_FREE

TASKS = make_tasks(queries=6, index=40, pool=12)


def sometimes_right(request: Request) -> Completion | Failure:
    """Right for about a third of the prompts, whatever they are; no text for the last query's lone prompts."""
    if request.query.id == 105 and len(request.demonstrations) == 1:
        return Failure("too long")
    name = digest(str(request.query.id), *(str(example.id) for example in request.demonstrations))
    text = request.query.answer if int(name[:4], 16) % 3 == 0 else "wrong"
    return Completion(text, dict.fromkeys(request.answers, -1.0))


@pytest.fixture
def vlm() -> ScriptedVLM:
    return ScriptedVLM(sometimes_right)


def entrants() -> list[Entrant]:
    trained = [Entrant(replace(mixed(), name="grpo"), seed=seed) for seed in (0, 1)]
    return [*training_free_entrants(3), *trained, Entrant(Reversed(trained[0].selector), seed=0)]


def test_every_entrant_has_a_row_for_every_query_and_number_of_shots(vlm: ScriptedVLM) -> None:
    results = evaluate(TASKS, entrants(), (1, 3), vlm.ask)
    keys = [(r.selector, r.seed, r.draw, r.shots, r.query_id) for r in results]
    assert len(keys) == len(set(keys)) == (len(TRAINING_FREE) + 2 + 2 + 1) * 2 * 6
    assert {r.selector for r in results} == {*TRAINING_FREE, "grpo", "grpo_reversed"}
    assert {(r.seed, r.draw) for r in results if r.selector == "random"} == {(None, 0), (None, 1), (None, 2)}


def test_each_distinct_prompt_is_asked_once_in_one_call(vlm: ScriptedVLM) -> None:
    results = evaluate(TASKS, entrants(), (1, 3), vlm.ask, origin="here")
    assert vlm.origins == ["here"]
    prompts = [(request.query.id, *(example.id for example in request.demonstrations)) for request in vlm.calls[0]]
    assert len(prompts) == len(set(prompts)) == len({(r.query_id, *r.sequence) for r in results})
    assert sum(not request.demonstrations for request in vlm.calls[0]) == len(TASKS.queries)


def test_rows_say_what_was_shown_in_order_and_what_was_answered(vlm: ScriptedVLM) -> None:
    for result in evaluate(TASKS, entrants(), (3,), vlm.ask):
        query = next(query for query in TASKS.queries if query.id == result.query_id)
        demonstrations = tuple(next(e for e in TASKS.index if e.id == number) for number in result.sequence)
        completion = sometimes_right(Request(query, demonstrations))
        assert isinstance(completion, Completion) and result.text == completion.text
        assert result.vqa_accuracy == (1.0 if result.text == query.answer else 0.0)
        assert result.question_type == query.question_type and result.failure is None


def test_reversed_sequences_are_the_reverse(vlm: ScriptedVLM) -> None:
    rows = {(r.selector, r.query_id): r.sequence for r in evaluate(TASKS, entrants(), (3,), vlm.ask) if r.seed == 0}
    assert all(rows["grpo", query.id] == rows["grpo_reversed", query.id][::-1] for query in TASKS.queries)


def test_a_failure_has_a_reason_and_no_score(vlm: ScriptedVLM) -> None:
    for result in evaluate(TASKS, entrants(), (1,), vlm.ask):
        failed = result.query_id == 105 and len(result.sequence) == 1
        assert (result.failure == "too long") == failed
        assert (result.text is None) == (result.vqa_accuracy is None) == (result.failure is not None)


def test_normalised_accuracy_stands_beside_the_official_one() -> None:
    vlm = ScriptedVLM(lambda request: Completion(f"The {request.query.answer}!"))
    (result, *_) = evaluate(TASKS, [Entrant(mixed())], (1,), vlm.ask)
    assert result.vqa_accuracy == 0 and result.vqa_accuracy_normalised == 1


def test_stemmed_accuracy_stands_beside_both() -> None:
    tasks = replace(TASKS, queries=tuple(replace(query, answers=("racing",) * 10) for query in TASKS.queries))
    (result, *_) = evaluate(tasks, [Entrant(mixed())], (1,), ScriptedVLM(lambda _: Completion("races")).ask)
    assert (result.vqa_accuracy, result.vqa_accuracy_normalised, result.vqa_accuracy_stemmed) == (0, 0, 1)


def test_the_oracle_is_never_below_a_selector(vlm: ScriptedVLM) -> None:
    results = evaluate(TASKS, entrants(), (1, 2), vlm.ask)
    found = evaluate_oracle(TASKS, results, (1, 2), 12, vlm.ask)
    bound = {(r.query_id, r.shots): r.vqa_accuracy for r in found}
    assert len(bound) == len(found) == 12 and all(r.selector == "oracle" and r.seed is None for r in found)
    for result in results:
        if result.vqa_accuracy is not None:
            best = bound[result.query_id, result.shots]
            assert best is not None and best >= result.vqa_accuracy


def test_the_oracle_of_a_query_without_any_answer_is_a_failure() -> None:
    vlm = ScriptedVLM(lambda request: Failure("no"))
    (result, *_) = evaluate_oracle(TASKS, [], (1,), 3, vlm.ask)
    assert result.vqa_accuracy is None and result.text is None and result.failure


def test_results_survive_the_file(tmp_path: Path, vlm: ScriptedVLM) -> None:
    results = evaluate(TASKS, [*entrants(), Entrant(Random(seed=4), draw=7)], (1, 2), vlm.ask)
    write_results(tmp_path / "evaluation" / "results.parquet", results)
    assert read_results(tmp_path / "evaluation" / "results.parquet") == results


def drop(path: Path, column: str) -> None:
    pq.write_table(pq.read_table(path).drop_columns([column]), path)


def test_a_file_from_before_stems_were_measured_can_be_read(tmp_path: Path, vlm: ScriptedVLM) -> None:
    file = tmp_path / "results.parquet"
    results = evaluate(TASKS, entrants(), (1,), vlm.ask)
    assert any(result.vqa_accuracy_stemmed for result in results)
    write_results(file, results)
    drop(file, "vqa_accuracy_stemmed")
    assert read_results(file) == [replace(result, vqa_accuracy_stemmed=None) for result in results]
    drop(file, "vqa_accuracy")
    with pytest.raises(DataError, match="field vqa_accuracy: is missing"):
        read_results(file)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize(("spoil", "error"), [(Path.unlink, InputError), (truncate, DataError)])
def test_a_missing_or_damaged_file_is_named(
    tmp_path: Path, spoil: Callable[[Path], None], error: type[InputError]
) -> None:
    file = tmp_path / "results.parquet"
    write_results(file, [Result(1, "mixed", None, 1, 0, (2,), "x", 1.0, 1.0, "")])
    spoil(file)
    with pytest.raises(error, match=r"results\.parquet"):
        read_results(file)
