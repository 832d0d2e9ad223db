"""The routes of the panel of queries: what they answer, what they refuse, and that a run's folder stays as it is."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image
from running_server import running
from small_explored import Told, explored_run

from shotsmith.runs import Run
from shotsmith.view.app import make_app
from shotsmith.view.run_data import run_data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    told = Told(question=lambda number: f"what is in picture {number} of {'MANY' if number % 2 else 'few'}?")
    run = explored_run(tmp_path_factory.mktemp("explored"), told)
    Image.new("RGB", (3000, 1500), "red").save(run_data(run).queries[1].images[0])
    return run


@pytest.fixture(scope="module")
def server(run: Run) -> Iterator[str]:
    with running(make_app({"a run": run})) as url:
        yield f"{url}/api/runs/a%20run"


def fetched(url: str, body: Any = None) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def got(url: str, body: Any = None) -> Any:
    status, content = fetched(url, body)
    assert status == 200, content
    return json.loads(content)


def test_a_query_is_opened_with_all_its_results_and_what_they_show(run: Run, server: str) -> None:
    data = run_data(run)
    query = data.queries[2]
    told = got(f"{server}/queries/{query.id}")
    assert told["question"] == query.question and dict(told["answers"]) == {query.answer: 8, query.answers[-1]: 2}
    results = [one for one in data.results if one.query_id == query.id]
    assert [(one["selector"], one["seed"], one["shots"], one["draw"]) for one in told["tries"]] == [
        (one.selector, one.seed, one.shots, one.draw) for one in results
    ]
    assert [tuple(one["sequence"]) for one in told["tries"]] == [one.sequence for one in results]
    for number in {number for one in results for number in one.sequence}:
        entry = data.splits.bank[data.bank_rows[number]]
        assert told["examples"][str(number)] == {"question": entry.question, "answer": entry.answer, "images": 1}


def test_scores_stand_beside_the_results_they_are_of(run: Run, server: str) -> None:
    data = run_data(run)
    told = got(f"{server}/queries/{data.queries[2].id}/scores")
    assert told["policy"] == {"phase": "grpo", "seed": 0, "epoch": 1}
    tries = data.tries[data.queries[2].id]
    assert [len(one) for one in told["scores"]] == [len(one.sequence) for one in tries]
    chosen = next(place for place, one in enumerate(tries) if (one.selector, one.seed, one.shots) == ("grpo", 0, 2))
    ids = ",".join(map(str, tries[chosen].sequence))
    steps = got(f"{server}/queries/{data.queries[2].id}/choices?sequence={ids}&selector=grpo&seed=0")
    probabilities = [step["probability"] for step in steps["steps"]]
    assert told["scores"][chosen] == pytest.approx(probabilities[::-1], rel=1e-4)
    listed = {str(one["id"]) for step in steps["steps"] for one in step["alternatives"]}
    assert listed <= steps["examples"].keys()
    other = got(f"{server}/queries/{data.queries[2].id}/choices?sequence={ids}&selector=grpo&seed=1")
    assert other["policy"]["seed"] == 1 and other["steps"] != steps["steps"]


def test_the_bank_is_searched_by_words_and_by_id_without_what_is_barred(run: Run, server: str) -> None:
    data = run_data(run)
    query = data.queries[0].id

    def found(words: str) -> list[int]:
        return [one["id"] for one in got(f"{server}/bank?query={query}&words={quote(words)}")["found"]]

    many = [one.id for one in data.splits.bank if "MANY" in one.question]
    assert found("many PICTURE") == many[:24] and len(many) > 5
    assert found(str(many[1]))[0] == many[1]
    assert found("nothing like this") == found("  ") == []
    barred = data.splits.bank[data.bank_rows[many[0]]]
    before = barred.images[0].read_bytes()
    barred.images[0].write_bytes(data.queries[0].images[0].read_bytes())
    try:
        del run_data(run).__dict__["barred"]
        assert many[0] not in found("many")
    finally:
        barred.images[0].write_bytes(before)
        del run_data(run).__dict__["barred"]


def test_pictures_are_bounded_and_none_but_those_of_the_examples(run: Run, server: str) -> None:
    data = run_data(run)
    large = data.queries[1].id
    for size, expected in (("large", (1024, 512)), ("small", (192, 96))):
        status, content = fetched(f"{server}/pictures/test/{large}/0?size={size}")
        image = Image.open(io.BytesIO(content))
        assert (status, image.format, image.size) == (200, "WEBP", expected)
    assert fetched(f"{server}/pictures/bank/{data.splits.bank[0].id}/0")[0] == 200
    for place in (f"test/{large}/1", f"test/{large}/-1", "test/99999/0", f"train/{large}/0", "etc/1/0"):
        assert fetched(f"{server}/pictures/{place}")[0] == 422, place
    for place in ("test/..%2f..%2fetc%2fpasswd/0", "test/1/..%2f0", f"test/{large}/0?size=huge", "test/1e99/0"):
        assert fetched(f"{server}/pictures/{place}")[0] in (404, 422), place
    gone = data.queries[4]
    content = gone.images[0].read_bytes()
    gone.images[0].write_bytes(b"no image")
    status, told = fetched(f"{server}/pictures/test/{gone.id}/0")
    gone.images[0].write_bytes(content)
    assert status == 422 and b"not an image" in told


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("queries/404", 422, "no test query has the id 404"),
        ("queries/x", 422, ""),
        ("queries/shots/7", 422, "nothing was evaluated with 7 shots"),
        ("queries/1/prompt?sequence=1;2", 422, "sequence"),
        ("queries/1/choices?sequence=1,1", 422, "cannot be shown"),
        ("queries/1/prompt?sequence=" + ",".join(["1"] * 2000), 422, "sequence"),
        ("queries/99999999999999999999", 422, ""),
        ("bank?query=1&words=" + "x" * 300, 422, "words"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(server: str, path: str, status: int, said: str) -> None:
    answered, content = fetched(f"{server}/{path}")
    assert answered == status and said in json.loads(content)["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"query": 1},
        {"query": 1, "sequence": "1"},
        {"query": 1, "sequence": [1.5]},
        {"query": 1, "sequence": [1], "more": 1},
        {"query": 1, "sequence": [1] * 65},
        {"query": 10**30, "sequence": []},
    ],
)
def test_a_faulty_question_is_refused(server: str, body: dict[str, Any]) -> None:
    assert fetched(f"{server}/what-if", body)[0] == 422


def test_what_if_is_answered_from_the_store_over_http(run: Run, server: str) -> None:
    data = run_data(run)
    result = next(one for one in data.results if one.selector == "grpo" and one.shots == 2)
    told = got(f"{server}/what-if", {"query": result.query_id, "sequence": list(result.sequence)})
    assert told == {"state": "stored", "text": result.text, "value": result.vqa_accuracy}
    assert got(f"{server}/what-if", {"query": result.query_id, "sequence": list(result.sequence[::-1])}) == {
        "state": "unknown"
    }


def test_reading_leaves_the_run_as_it_is(run: Run, server: str) -> None:
    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}

    before, query = state(), run_data(run).queries[0].id
    for path in (
        "queries",
        "queries/shots/1",
        f"queries/{query}",
        f"queries/{query}/scores",
        f"queries/{query}/prompt",
    ):
        got(f"{server}/{path}")
    assert state() == before


def test_an_unknown_run_is_not_found(server: str) -> None:
    assert fetched(server.replace("a%20run", "other") + "/queries")[0] == 404
