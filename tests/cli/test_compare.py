"""`shotsmith compare`: what it prints at any width, and what it refuses."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from shotsmith.cli import app
from shotsmith.cli.compare import comparison_table, verdicts
from shotsmith.evaluation.compare import Comparison, compare
from shotsmith.evaluation.results import Result, read_results, write_results
from shotsmith.recipe import parse_recipe
from shotsmith.runs import Run

SHARES = {"base": 0.4, "near": 0.4, "better": 0.8}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three runs with results of 80 queries: one as good as the first, one much better."""
    monkeypatch.chdir(tmp_path)
    for salt, (name, share) in enumerate(SHARES.items()):
        run = Run.create(tmp_path / name, parse_recipe({"name": name, "data": {"world": {}}}))
        write_results(run.results, results(share, salt))
    return list(SHARES)


def results(share: float, salt: int) -> list[Result]:
    return [
        Result(query, selector, 0, shots, 0, (), f"x{query % 5}", value, value, "kind", None, value)
        for selector in ("supervised", "grpo")
        for shots in (1, 2)
        for query in range(80)
        for value in [float(np.random.default_rng((query, shots, salt)).random() < share)]
    ]


def call(*arguments: str, width: int = 120) -> str:
    done = CliRunner().invoke(app, ["compare", *arguments], env={"COLUMNS": str(width)})
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_json_is_what_the_comparison_holds(runs: list[str]) -> None:
    expected = compare({name: read_results(Path(name) / "evaluation" / "results.parquet") for name in runs})
    assert json.loads(call(*runs, "--json")) == json.loads(json.dumps(expected.to_json()))


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_and_says_everything_that_decides(runs: list[str], width: int) -> None:
    printed = call(*runs, width=width)
    lines = printed.splitlines()
    assert all(len(line) <= width for line in lines) and "…" not in printed
    row = next(line for line in lines if "better: grpo" in line and "mean" in line)
    for part in ("< 0.001", " to "):
        assert part in row
    for heading in ("Difference", "95% interval", "Detectable"):
        assert heading in printed
    assert ("Queries" in printed) == (width == 120)


def test_the_words_say_what_is_told_and_what_cannot_be(runs: list[str]) -> None:
    said = " ".join(call(*runs).split())
    told, open_ = said.split("80 questions cannot tell")
    assert "Told apart" in told and "better: grpo - base: grpo at 1, 2 shots and on the mean" in told
    assert "near: grpo - base: grpo at 1, 2 shots and on the mean" in open_ and "better" not in open_
    assert "points to be seen 80% of the time" in open_


def test_one_shot_is_one_shot_and_one_size_is_said_once(runs: list[str]) -> None:
    comparison = comparison_of(*([r for r in results(0.4, salt) if r.shots == 1] for salt in (0, 1)))
    first = Comparison(**{**{f: getattr(comparison, f) for f in comparison.__slots__}, "rows": comparison.rows[:1]})
    (line,) = verdicts(first)
    assert "b: grpo - a: grpo at 1 shot." in line and f"{first.rows[0].detectable:.1f} points" in line
    (line,) = verdicts(Comparison(**{**{f: getattr(first, f) for f in first.__slots__}, "rows": comparison.rows[1:]}))
    assert "b: grpo - a: grpo on the mean." in line


def comparison_of(a: list[Result], b: list[Result]) -> Comparison:
    return compare({"a": a, "b": b}, resamples=100)


def test_decided_rows_stand_out() -> None:
    table = comparison_table(comparison_of(results(0.2, 0), results(0.9, 1)), 120)
    assert {row.style for row in table.rows} == {"bold"}
    Console(file=io.StringIO(), width=120).print(table)


def test_a_selector_a_metric_and_shared_queries_can_be_asked_for(runs: list[str]) -> None:
    found = json.loads(call("base", "near", "--selector", "supervised", "--metric", "vqa_accuracy_stemmed", "--json"))
    assert (found["rows"][0]["a"], found["metric"]) == ("near: supervised", "vqa_accuracy_stemmed")
    run = Run.open(Path("near"))
    write_results(run.results, [result for result in read_results(run.results) if result.query_id < 50])
    assert json.loads(call("base", "near", "--shared", "--json"))["queries"] == 50


def test_runs_of_one_name_go_by_their_paths(runs: list[str], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "near").rename(tmp_path / "elsewhere" / "base")
    assert json.loads(call("base", "elsewhere/base", "--json"))["runs"] == ["elsewhere/base"]


def test_what_cannot_be_compared_exits_2(runs: list[str], tmp_path: Path) -> None:
    other = Run.create(tmp_path / "other", parse_recipe({"data": {"world": {"seed": 9}}}))
    write_results(other.results, results(0.4, 0))
    empty = Run.create(tmp_path / "empty", parse_recipe({"data": {"world": {}}}))
    for arguments, said in (
        (["base"], "at least two runs"),
        (["base", "other"], "different data"),
        (["base", "near", "--metric", "bleu"], "no metric is called 'bleu'"),
        (["base", "near", "--selector", "oracle"], "no results of 'oracle'"),
        (["base", str(empty.folder)], "results.parquet: no such file"),
        (["base", "absent"], "not a run folder"),
    ):
        done = CliRunner().invoke(app, ["compare", *arguments])
        assert done.exit_code == 2 and said in done.stderr and done.stdout == ""


def test_help_has_an_example() -> None:
    assert "Example: shotsmith compare " in call("--help")
