"""Selections of a run as a file, and those of another system evaluated beside the run's own."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_experiment import small_bank_recipe
from small_selector import body_of
from starlette.testclient import TestClient
from typer.testing import CliRunner

import shotsmith
from shotsmith import experiment
from shotsmith.cli import app
from shotsmith.evaluation.results import read_results
from shotsmith.evaluation.selections import MISSING
from shotsmith.experiment.parts import Parts
from shotsmith.experiment.selections import evaluate_given, write_material, write_selections
from shotsmith.files import read_json
from shotsmith.progress import Silent
from shotsmith.runs import Run
from shotsmith.serve.app import create_app
from shotsmith.serve.settings import ServeSettings

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that chose from a whole bank, evaluated."""
    settings = small_bank_recipe().model_dump(mode="json")
    settings["supervised"]["epochs"] = settings["rce"]["epochs"] = 0
    settings["evaluation"]["oracle_tries"] = settings["evaluation"]["fixed_tries"] = 0
    recipe = type(small_bank_recipe()).model_validate(settings)
    run = Run.create(tmp_path_factory.mktemp("runs") / "run", recipe)
    experiment.run(recipe, run, Silent(), until="evaluate")
    return run


@pytest.fixture
def rows(run: Run, tmp_path: Path) -> Rows:
    write_selections(run, tmp_path / "own.jsonl", Silent())
    return read(tmp_path / "own.jsonl")


def read(file: Path) -> Rows:
    return [json.loads(line) for line in file.read_text().splitlines()]


def write(file: Path, rows: Rows) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def accuracies(tables: Any, selector: str) -> dict[Any, tuple[float, float, float, int]]:
    return {
        (row["metric"], row["shots"]): (row["accuracy"], row["low"], row["high"], row["n"])
        for row in tables["test"]
        if row["selector"] == selector
    }


def test_a_runs_own_selections_score_what_its_evaluation_says(run: Run, rows: Rows, tmp_path: Path) -> None:
    assert len(rows) == 12 * 2 and {row["selector"] for row in rows} == {"grpo"}
    before = run.results.read_bytes(), run.summary.read_bytes()
    tables = evaluate_given(run, write(tmp_path / "theirs.jsonl", rows), Silent())
    assert accuracies(tables, "theirs") == accuracies(read_json(run.summary), "grpo") != {}
    ((difference, p),) = {(row["difference"], row["p"]) for row in tables["contrasts"] if row["b"] == "theirs"}
    assert (difference, p) == (0.0, 1.0)
    assert {(row["a"], row["b"]) for row in tables["contrasts"]} >= {("grpo", "theirs")}
    assert (run.results.read_bytes(), run.summary.read_bytes()) == before
    shown = {(one.query_id, one.shots): one.sequence for one in read_results(run.results) if one.selector == "grpo"}
    assert {(row["query"], row["shots"]): tuple(row["demonstrations"]) for row in rows} == shown


def test_another_systems_selections_have_a_row_beside_ours(run: Run, tmp_path: Path) -> None:
    write_selections(run, tmp_path / "near.jsonl", Silent(), selector="text_similar")
    tables = evaluate_given(run, tmp_path / "near.jsonl", Silent(), name="system-x")
    assert accuracies(tables, "system-x") == accuracies(read_json(run.summary), "text_similar")
    assert accuracies(tables, "grpo") == accuracies(read_json(run.summary), "grpo")
    best = read_json(run.summary)["best_free"]["selector"]
    assert {(row["a"], row["b"]) for row in tables["contrasts"]} == {("grpo", "system-x"), ("system-x", best)}
    assert read_json(run.folder / "evaluation" / "given" / "system-x.json") == json.loads(json.dumps(tables))


def test_missing_queries_are_counted_and_left_out_of_every_difference(run: Run, rows: Rows, tmp_path: Path) -> None:
    query = rows[0]["query"]
    less = [row for row in rows if row["query"] != query]
    tables = evaluate_given(run, write(tmp_path / "less.jsonl", less), Silent())
    assert [(row["query_id"], row["failure"]) for row in tables["excluded"]] == [(query, MISSING)] * 2
    assert {n for *_, n in accuracies(tables, "less").values()} == {11}
    assert {row["difference"] for row in tables["contrasts"] if row["b"] == "less"} == {0.0}


def test_means_are_over_the_numbers_of_shots_that_both_have(run: Run, rows: Rows, tmp_path: Path) -> None:
    one_shot = [row for row in rows if row["shots"] == 1]
    tables = evaluate_given(run, write(tmp_path / "one.jsonl", one_shot), Silent())
    assert {row["shots"] for row in tables["test"]} == {1, "mean"}
    ours = accuracies(tables, "grpo")
    assert ours["vqa_accuracy", "mean"] == ours["vqa_accuracy", 1]


def change(**fields: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [rows[0], {**rows[1], **fields}, *rows[2:]]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (change(query=-1), "row 2, field query: is no query that is evaluated: -1"),
        (change(query=True), "field query: is no query that is evaluated: True"),
        (change(query_hash="0" * 64), "row 2, field query_hash: is not the content of query"),
        (change(demonstrations=[999999]), "row 2, field demonstrations: the bank has no example 999999"),
        (change(hashes=["0" * 64]), "row 2, field hashes: is not the content of example"),
        (change(hashes=[]), "row 2, field hashes: has 0 hashes of 1 demonstrations"),
        (change(shots=7), r"row 2, field shots: 7 is none of the numbers evaluated \(1, 2\)"),
        (change(seed="a"), "row 2, field seed: is no whole number: 'a'"),
        (change(demonstrations="no"), "row 2, field demonstrations: is not a list"),
        (lambda rows: [*rows, rows[0]], "row 25, field query: has a selection with so many shots already"),
        (lambda rows: [{k: v for k, v in rows[0].items() if k != "hashes"}], "row 1, field hashes: is missing"),
        (lambda rows: [{**rows[0], "demonstrations": [1, 1], "hashes": ["", ""]}], "has 2 demonstrations, more than 1"),
        (lambda _rows: [], "has no selections"),
    ],
)
def test_faulty_selections_are_refused(
    run: Run, rows: Rows, tmp_path: Path, spoil: Callable[[Rows], Rows], said: str
) -> None:
    with pytest.raises(Exception, match=said) as caught:
        evaluate_given(run, write(tmp_path / "faulty.jsonl", spoil(rows)), Silent())
    assert "faulty.jsonl" in str(caught.value)
    assert not (run.folder / "evaluation" / "given" / "faulty.json").exists()


def test_the_material_is_enough_to_write_a_file_that_is_accepted(run: Run, tmp_path: Path) -> None:
    write_material(run, tmp_path, Silent())
    queries, bank = read(tmp_path / "queries.jsonl"), read(tmp_path / "bank.jsonl")
    assert all("answers" not in query for query in queries) and len(bank) == 200
    one = bank[3]
    images = [hashlib.sha256(Path(image).read_bytes()).hexdigest() for image in one["images"]]
    parts = [images, one["question"], one["answers"], one["options"]]
    content = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    assert one["hash"] == hashlib.sha256(content.encode()).hexdigest()
    chosen = []
    for query in queries:
        (entry, *_) = (other for other in bank if other["id"] not in query["barred"])
        told = {"query": query["id"], "query_hash": query["hash"], "shots": 1}
        chosen.append({**told, "demonstrations": [entry["id"]], "hashes": [entry["hash"]]})
    tables = evaluate_given(run, write(tmp_path / "first.jsonl", chosen), Silent())
    assert {n for *_, n in accuracies(tables, "first").values()} == {12}


@pytest.fixture
def log(run: Run, tmp_path: Path) -> Path:
    """What a server of the run's selector wrote down when it was asked the test queries, and others."""
    file = tmp_path / "served.jsonl"
    with Parts(run.recipe, run, Silent()) as parts:
        tasks = parts.tasks("test")
    served = [
        {**body_of(query), "exclude": [tasks.index[row].id for row in barred]}
        for query, barred in zip(tasks.queries, tasks.barred, strict=True)
    ]
    settings = ServeSettings(log=file, log_bytes=20_000)
    with TestClient(create_app(shotsmith.load(run.folder), settings), base_url="http://127.0.0.1") as client:
        asked = [{**body, "shots": shots} for shots in (3, 1, 2) for body in (body_of(tasks.index[0]), *served)]
        for body in ({**served[0], "shots": 1, "pool": [one.id for one in tasks.index[5:8]]}, *asked):
            answer = client.post("/select", json=body)
            assert answer.status_code == 200, answer.text
    assert file.with_name("served.jsonl.1").exists()
    return file


def test_a_servers_log_scores_what_the_runs_evaluation_says(
    run: Run, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = evaluate_given(run, log, Silent())
    assert accuracies(tables, "served") == accuracies(read_json(run.summary), "grpo") != {}
    assert tables["excluded"] == []
    unused = {"repeated": 1, "other_query": 3, "other_shots": 12, "other_example": 0, "barred": 0}
    assert tables["log"] == {"rows": 40, "scored": 24, **unused}
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^shotsmith (evaluate runs/demo .*)$", page, re.M)
    monkeypatch.chdir(log.parent)
    done = CliRunner().invoke(app, command.replace("runs/demo", str(run.folder)).split(), env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.stderr
    said = "24 of 40 rows are scored, 1 followed by another for the same query, 3 of other queries, 12 with other"
    assert said in " ".join(done.stdout.split()) and "served" in done.stdout


def test_the_log_of_a_bank_that_was_changed_is_scored_where_the_examples_are_the_runs(run: Run, tmp_path: Path) -> None:
    with Parts(run.recipe, run, Silent()) as parts:
        tasks = parts.tasks("test")
    one, other = tasks.index[4].id, tasks.index[5].id
    queries = [body_of(query) for query in tasks.queries[:3]]
    settings = ServeSettings(log=tmp_path / "served.jsonl")
    with TestClient(create_app(shotsmith.load(run.folder), settings), base_url="http://127.0.0.1") as client:

        def select(query: dict[str, str], chosen: int) -> None:
            assert client.post("/select", json={**query, "shots": 1, "pool": [chosen]}).status_code == 200

        select(queries[0], one)
        client.post("/index", json={"remove": [one]})
        client.post("/index", json={"add": [{"id": one, "question": "What is it?", "answers": ["changed"]}]})
        select(queries[1], one)
        select(queries[2], other)
    tables = evaluate_given(run, tmp_path / "served.jsonl", Silent())
    assert (tables["log"]["rows"], tables["log"]["scored"], tables["log"]["other_example"]) == (3, 2, 1)
    answered = {(row["query_id"]) for row in tables["excluded"]}
    assert {query.id for query in tasks.queries} - answered == {tasks.queries[0].id, tasks.queries[2].id}


def test_the_commands_write_and_evaluate(run: Run, tmp_path: Path) -> None:
    out, folder = tmp_path / "val.jsonl", str(run.folder)
    done = CliRunner().invoke(app, ["selections", folder, "--out", str(out), "--split", "val", "--json"])
    assert done.exit_code == 0 and json.loads(done.stdout)["lines"] == 12 == len(read(out))
    done = CliRunner().invoke(app, ["selections", folder, "--out", str(out), "--material", str(tmp_path), "-q"])
    assert done.exit_code == 0 and done.stdout == ""
    to = ["--lm-eval", str(tmp_path / "lm"), "--lmms-eval", str(tmp_path / "lmms")]
    done = CliRunner().invoke(app, ["selections", folder, "--out", str(out), *to, "--json"])
    names = ["small-bank_1_shot", "small-bank_2_shot"]
    assert json.loads(done.stdout)["tasks"] == {"lm_eval": names, "lmms_eval": names}
    assert (tmp_path / "lm" / "small-bank_2_shot.yaml").exists() and (tmp_path / "lmms" / "shown.py").exists()
    done = CliRunner().invoke(app, ["evaluate", folder, "--selections", str(out), "--name", "them"])
    assert done.exit_code == 0 and "them" in done.stdout and "grpo" in done.stdout
    done = CliRunner().invoke(app, ["evaluate", folder, "--selections", str(out), "--name", "them", "--json"])
    assert {row["selector"] for row in json.loads(done.stdout)["test"]} >= {"them", "grpo", "mixed"}
    for arguments, said in (
        (["evaluate", folder, "--selections", str(out), "--name", "grpo"], "'grpo' is a selector of the run"),
        (["evaluate", folder, "--selections", str(tmp_path / "none")], "cannot be read"),
        (["evaluate", folder, "--selections", str(out), "--vlm", str(out)], "without --vlm"),
        (["selections", folder, "--out", str(out), "--split", "train"], "is one of val, test"),
        (["selections", folder, "--out", str(out), "--split", "val", *to], "tasks are written of the test queries"),
        (["selections", folder, "--out", str(out), "--selector", "best"], "no selector is called 'best'"),
    ):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 2 and said in " ".join(done.stderr.split()), done.stderr
