"""An answer to other demonstrations is the VLM's own, to the prompt that `shotsmith prompt` shows."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from small_explored import IDENTITY, explored_run
from typer.testing import CliRunner

from shotsmith.cli import app
from shotsmith.completions.store import Store, request_key
from shotsmith.errors import InputError
from shotsmith.recipe import VLMSettings
from shotsmith.records import Completion, Request
from shotsmith.runs import Run
from shotsmith.view.run_data import RunData, run_data
from shotsmith.view.what_if import MOST_WAITING, Answerer, VLMThread, question
from shotsmith.vlms.load import load_vlm


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return explored_run(tmp_path_factory.mktemp("explored"))


def files_of(run: Run) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.folder.rglob("*")}


def waited(answerer: Answerer, data: RunData, query: int, sequence: tuple[int, ...]) -> dict[str, Any]:
    """The answer of the VLM."""
    asked = question(data, query, sequence)
    told = answerer.answer(asked, ask=True)
    end = time.monotonic() + 120
    while told["state"] == "asking" and time.monotonic() < end:
        time.sleep(0.05)
        told = answerer.answer(asked)
    return told


def test_a_sequence_that_was_evaluated_is_answered_from_the_store(run: Run) -> None:
    data = run_data(run)
    answerer = Answerer(data, VLMThread())
    before = files_of(run)
    for query in data.queries:
        for result in data.tries[query.id]:
            if result.text is not None:
                told = answerer.answer(question(data, query.id, result.sequence))
                assert told["state"] == "stored"
                assert (told["text"], told["value"]) == (result.text, result.vqa_accuracy)
    assert files_of(run) == before


def test_the_vlm_is_asked_what_shotsmith_prompt_shows_and_its_answer_is_told(run: Run) -> None:
    data = run_data(run)
    arguments = ["prompt", str(run.folder), "--query", "3", "--shots", "3", "--selector", "random", "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    answerer = Answerer(data, VLMThread())
    asked = question(data, shown["query"], shown["demonstrations"])
    assert shown == json.loads(json.dumps({"split": "test", "selector": "random", **answerer.prompt(asked)}))
    assert answerer.answer(asked) == {"state": "unknown"}
    before = files_of(run)
    told = waited(answerer, data, shown["query"], tuple(shown["demonstrations"]))
    bank = data.splits.bank
    demonstrations = tuple(bank[data.bank_rows[number]] for number in shown["demonstrations"])
    query = data.queries[3]
    (completion,) = load_vlm(VLMSettings()).complete([Request(query, demonstrations)])
    assert isinstance(completion, Completion)
    assert told == {
        "state": "asked",
        "text": completion.text,
        "value": data.measure.score(str(completion.text), query.answers),
    }
    assert files_of(run) == before
    other = waited(answerer, data, query.id, tuple(shown["demonstrations"][::-1]))
    (turned,) = load_vlm(VLMSettings()).complete([Request(query, demonstrations[::-1])])
    assert isinstance(turned, Completion) and other["text"] == turned.text


def test_a_vlm_that_cannot_be_loaded_is_said_to_be_missing_and_can_be_asked_again(tmp_path: Path) -> None:
    run = explored_run(tmp_path, settings={"vlm": {"path": str(tmp_path / "nothing")}})
    data = run_data(run)
    answerer = Answerer(data, VLMThread())
    query = data.queries[0].id
    told = waited(answerer, data, query, (data.splits.bank[0].id, data.splits.bank[1].id))
    assert told["state"] == "failed" and "nothing" in told["failure"]
    again = question(data, query, (data.splits.bank[0].id, data.splits.bank[1].id))
    assert answerer.answer(again) == told
    assert answerer.answer(again, ask=True) == {"state": "asking"}


def test_a_store_of_another_vlm_answers_nothing(tmp_path: Path) -> None:
    run = explored_run(tmp_path)
    data = run_data(run)
    query, demonstrations = data.queries[0], data.splits.bank[:3]
    request = Request(query, demonstrations)
    with Store.open(run.completions) as store:
        store.put_many([(request_key(request, "another"), Completion("another's"))], "x")
    asked = question(data, query.id, [one.id for one in demonstrations])
    assert Answerer(data, VLMThread()).answer(asked) == {"state": "unknown"}
    with Store.open(run.completions) as store:
        store.put_many([(request_key(request, IDENTITY), Completion("its own"))], "x")
    assert Answerer(data, VLMThread()).answer(asked)["text"] == "its own"


def test_questions_wait_in_one_line_of_bounded_length(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    data, thread = run_data(run), VLMThread()
    monkeypatch.setattr("shotsmith.view.what_if.load_vlm", lambda _settings: time.sleep(1))
    for number in range(MOST_WAITING):
        thread.ask(data.run.recipe.vlm, Request(data.queries[number]))
    with pytest.raises(InputError, match="questions wait for the VLM already"):
        thread.ask(data.run.recipe.vlm, Request(data.queries[-1]))


def test_what_cannot_be_shown_is_refused(run: Run) -> None:
    data = run_data(run)
    query, bank = data.queries[0].id, data.splits.bank
    for sequence, said in (((5,), "no entry with the id 5"), ((bank[0].id, bank[0].id), "twice")):
        with pytest.raises(InputError, match=said):
            question(data, query, sequence)
    with pytest.raises(InputError, match="no test query has the id 77"):
        question(data, 77, ())


def test_an_entry_with_the_picture_of_the_query_is_barred_from_it(tmp_path: Path) -> None:
    run = explored_run(tmp_path)
    data = run_data(run)
    query, entry = data.queries[0], data.splits.bank[4]
    entry.images[0].write_bytes(query.images[0].read_bytes())
    with pytest.raises(InputError, match=f"entry {entry.id} is barred"):
        question(data, query.id, (entry.id,))
