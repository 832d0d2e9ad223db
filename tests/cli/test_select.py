"""`shotsmith select` and `shotsmith export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_selector import draw_world, small_selector
from typer.testing import CliRunner

import shotsmith
from shotsmith.cli import app
from shotsmith.records import Example

World = tuple[list[Example], list[Example]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return draw_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOTSMITH_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def selector(world: World, tmp_path_factory: pytest.TempPathFactory) -> shotsmith.Selector:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOTSMITH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return small_selector(world[0])


@pytest.fixture(scope="module")
def saved(selector: shotsmith.Selector, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(selector.save(tmp_path_factory.mktemp("saved") / "selector"))


def invoke(*words: object, stdin: str | None = None, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["select", *map(str, words)], input=stdin)
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.stderr


def asked(query: Example) -> list[object]:
    return ["--question", query.question, "--image", query.image]


def test_it_selects_what_the_library_selects(saved: str, selector: shotsmith.Selector, world: World) -> None:
    query = world[1][0]
    chosen = selector.select(question=query.question, image=query.image, shots=3)
    assert json.loads(invoke(saved, *asked(query), "--shots", 3, "--json")) == chosen.to_json()
    assert json.loads(invoke(saved, *asked(query), "--shots", 3, "--messages")) == chosen.messages()
    both = json.loads(invoke(saved, *asked(query), "--shots", 3, "--json", "--messages"))
    assert both == {**chosen.to_json(), "messages": chosen.messages()}
    table = invoke(saved, *asked(query), "--shots", 3)
    assert [line.split()[0] for line in table.splitlines()[1:4]] == [str(one) for one in chosen.ids]
    assert f"3 demonstrations chosen by mixed, {chosen.tokens} tokens" in table


def test_pool_exclusions_and_budget(saved: str, selector: shotsmith.Selector, world: World, tmp_path: Path) -> None:
    pool = [str(one) for one in selector.bank.ids[:5]]
    (tmp_path / "ids.txt").write_text("\n".join(pool) + "\n")

    def ids(*options: object) -> list[str]:
        return [str(one) for one in json.loads(invoke(saved, *asked(world[1][0]), "--json", *options))["ids"]]

    assert set(ids("--pool", ", ".join(pool), "--shots", 5)) == set(pool)
    assert ids("--pool", f"@{tmp_path / 'ids.txt'}", "--shots", 5) == ids("--pool", ",".join(pool), "--shots", 5)
    assert set(ids("--pool", ",".join(pool), "--exclude", pool[0])) == set(pool[1:])
    assert 0 < len(ids("--max-tokens", 50)) < 4


def test_a_file_of_queries_is_answered_line_by_line(
    saved: str, selector: shotsmith.Selector, world: World, tmp_path: Path
) -> None:
    queries = [world[1][number % 20] for number in range(70)]
    rows: list[dict[str, Any]] = [{"question": one.question, "image": one.image.name} for one in queries]  # type: ignore[union-attr]
    for one in world[1]:
        assert one.image is not None
        (tmp_path / one.image.name).write_bytes(one.image.read_bytes())
    rows[1]["id"], rows[2]["exclude"] = "second", [selector.bank.ids[0]]
    text = "\n\n".join(map(json.dumps, rows))
    (tmp_path / "queries.jsonl").write_text(text)
    answers = [json.loads(line) for line in invoke(saved, "--queries", tmp_path / "queries.jsonl").splitlines()]
    assert [one["query"] for one in answers[:3]] == [1, "second", 5] and len(answers) == 70
    expected = selector.select_many([{"question": one.question, "image": one.image} for one in queries])
    for number, (answer, one) in enumerate(zip(answers, expected, strict=True)):
        assert answer["question"] == queries[number].question
        assert answer["ids"] == list(one.ids) or number == 2
    assert selector.bank.ids[0] not in answers[2]["ids"]
    alone = json.dumps({"question": world[1][0].question})
    assert len(invoke(saved, "--queries", "-", "--messages", stdin=alone).splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "row 2: is not JSON"),
        ("[]", "row 2: is no JSON object"),
        ("{}", "row 2, field question: is missing"),
        ('{"question": " "}', "row 2, field question"),
        ('{"question": "q?", "image": 3}', "row 2, field image: is neither a path"),
        ('{"question": "q?", "image": "none.png"}', "row 2, field image: no such image"),
        ('{"question": "q?", "exclude": 3}', "row 2, field exclude"),
        ('{"question": "q?", "exclude": ["nobody"]}', "no example with the id 'nobody'"),
    ],
)
def test_a_faulty_line_is_named(saved: str, tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "queries.jsonl").write_text('{"question": "good?"}\n' + line)
    assert problem in invoke(saved, "--queries", tmp_path / "queries.jsonl", code=2)


def test_a_table_or_a_name_will_do(world: World, tmp_path: Path, saved: str) -> None:
    rows = [{"question": one.question, "image": str(one.image), "answers": one.answer} for one in world[0][:6]]
    (tmp_path / "bank.jsonl").write_text("\n".join(map(json.dumps, rows)))
    query = [*asked(world[1][0]), "--json", "--bank", tmp_path / "bank.jsonl"]
    named, other = json.loads(invoke("mixed", *query)), json.loads(invoke(saved, *query))
    assert named["ids"] == other["ids"] and set(named["ids"]) <= set(range(6))


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "give one of --question and --queries"),
        (["--question", "q?", "--queries", "a.jsonl"], "give one of --question and --queries"),
        (["--queries", "a.jsonl", "--image", "a.png"], "--image belongs to --question"),
        (["--queries", "none.jsonl"], "none.jsonl: cannot be read"),
        (["--question", "q?", "--shots", "many"], "neither a whole number nor 'auto'"),
        (["--question", "q?", "--shots", "41"], "41 demonstrations cannot be chosen from 40"),
        (["--question", "q?", "--shots", "auto"], "cannot decide how many to show"),
        (["--question", " "], "is empty"),
        (["--question", "q?", "--image", "none.png"], "none.png"),
        (["--question", "q?", "--pool", "1,nobody"], "field --pool: the bank has no example with the id"),
        (["--question", "q?", "--pool", "@none.txt"], "none.txt"),
        (["--question", "q?", "--bank", "none.jsonl"], "none.jsonl"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(saved: str, words: list[str], problem: str) -> None:
    told = invoke(saved, *words, code=2)
    assert problem in told and len(told.splitlines()) == 1


def test_a_name_needs_a_table_and_a_folder_must_be_a_selector(tmp_path: Path) -> None:
    assert "--bank" in invoke("mixed", "--question", "q?", code=2)
    assert "neither a run" in invoke(tmp_path, "--question", "q?", code=2)


def test_an_exported_selector_selects_the_same(saved: str, world: World, tmp_path: Path) -> None:
    for number, options in enumerate([[], ["--images"], ["--encoder"], ["--no-encoder", "--images"]]):
        folder = tmp_path / str(number)
        done = CliRunner().invoke(app, ["export", saved, str(folder), "--json", *options])
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)
        assert (told["selector"], told["examples"]) == ("mixed", 40)
        assert told["bytes"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert (folder / "images").is_dir() == ("--images" in options)
        assert (folder / "encoder").is_dir() == ("--encoder" in options)
        query = [*asked(world[1][0]), "--json"]
        assert json.loads(invoke(folder, *query))["ids"] == json.loads(invoke(saved, *query))["ids"]


def test_an_export_does_not_overwrite_other_things(saved: str, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = CliRunner().invoke(app, ["export", saved, str(tmp_path)])
    assert done.exit_code == 2 and "holds something else" in done.stderr
