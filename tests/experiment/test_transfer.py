"""A selector judged by another VLM than it was trained with."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_experiment import small_bank_recipe
from typer.testing import CliRunner

from shotsmith import experiment
from shotsmith.cli import app
from shotsmith.errors import InputError
from shotsmith.evaluation.results import Result
from shotsmith.evaluation.transfer import FREE_ROW, Answers, transfer_matrix
from shotsmith.experiment.transfer import compare_transfer
from shotsmith.files import read_json
from shotsmith.progress import Silent
from shotsmith.runs import Run

SHORT = {"max_new_tokens": 4, "prompt": {"system": "Answer in one word."}}
"""Settings that make another VLM of the built-in one: its answers change."""


def trained(folder: Path, vlm: dict[str, Any]) -> Run:
    settings = small_bank_recipe().model_dump(mode="json")
    settings["supervised"]["epochs"] = settings["rce"]["epochs"] = 0
    settings["grpo"]["epochs"] = 1
    settings["evaluation"]["oracle_tries"] = settings["evaluation"]["fixed_tries"] = 0
    settings["vlm"] |= vlm
    recipe = type(small_bank_recipe()).model_validate(settings)
    run = Run.create(folder, recipe)
    experiment.run(recipe, run, Silent(), until="evaluate")
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return trained(folder / "plain", {}), trained(folder / "short", SHORT)


def call(*arguments: str) -> str:
    done = CliRunner().invoke(app, [*arguments], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_selector_is_judged_by_another_vlm_and_the_matrix_is_filled(
    runs: tuple[Run, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, short = runs
    folders = [str(run.folder) for run in runs]
    before = json.loads(call("compare", "--transfer", *folders, "--json"))
    assert before["missing"] == [["plain", "short"], ["short", "plain"]]
    printed = call("compare", "--transfer", *folders)
    assert f"shotsmith evaluate {folders[0]} --vlm {short.recipe_file}" in printed.replace("\n", "")
    summary = plain.summary.read_bytes()
    (tmp_path / "other.yaml").write_text(yaml.safe_dump({"vlm": SHORT}))
    tables = json.loads(call("evaluate", folders[0], "--vlm", str(tmp_path / "other.yaml"), "--json"))
    assert plain.summary.read_bytes() == summary
    free = {(row["selector"], row["shots"]): row["accuracy"] for row in read_json(short.summary)["test"]}
    found = {(row["selector"], row["shots"]): row["accuracy"] for row in tables["test"]}
    same = [name for name, _ in free if name in ("mixed", "text_similar", "zero_shot")]
    assert same and all(found[name, 1] == free[name, 1] for name in same), "the same VLM answers the same"
    assert tables["contrasts"][0]["a"] == "grpo" and tables["contrasts"][0]["b"] == tables["best_free"]["selector"]
    assert "grpo" in call("evaluate", folders[1], "--vlm", str(plain.recipe_file))
    matrix = json.loads(call("compare", "--transfer", *folders, "--json"))
    assert matrix["missing"] == []
    cells = {(cell["trained_on"], cell["answered_by"]): cell for cell in matrix["cells"]}
    assert cells.keys() == {(a, b) for a in ("plain", "short", FREE_ROW) for b in ("plain", "short")}
    assert cells["plain", "short"]["accuracy"] == found["grpo", "mean"]
    own = {row["shots"]: row["accuracy"] for row in read_json(plain.summary)["test"] if row["selector"] == "grpo"}
    assert cells["plain", "plain"]["accuracy"] == pytest.approx(own["mean"])
    assert all(cell["low"] <= cell["accuracy"] <= cell["high"] for cell in matrix["cells"])
    table = call("compare", "--transfer", *folders)
    assert f"{found['grpo', 'mean']:.1f} (" in table and "Not evaluated" not in table
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[2] / "benchmarks"), *sys.path])
    benchmark, named = importlib.import_module("transfer"), {"plain": plain, "short": short}
    computed = compare_transfer(named)
    figures = dict(benchmark.figures_of(computed, named))
    assert figures["trained_on_plain/answered_by_short"] == found["grpo", "mean"]
    lost = figures["trained_on_plain/answered_by_short"] - figures["trained_on_short/answered_by_short"]
    assert figures["answered_by_short/other_minus_own"] == pytest.approx(lost)
    gained = figures["trained_on_plain/answered_by_short"] - figures["best_free/answered_by_short"]
    assert figures["answered_by_short/other_minus_best_free"] == pytest.approx(gained)
    assert benchmark.is_equal(computed, named)
    for place in (0, 3):
        cells = list(computed.cells)
        cells[place] = replace(cells[place], accuracy=cells[place].accuracy + 1)
        assert not benchmark.is_equal(replace(computed, cells=tuple(cells)), named)


@pytest.mark.slow
def test_what_is_no_other_vlm_is_refused(runs: tuple[Run, Run], tmp_path: Path) -> None:
    plain, _ = runs
    (tmp_path / "empty.yaml").write_text("data: {}")
    (tmp_path / "faulty.yaml").write_text("vlm: {max_new_tokens: -1}")
    for arguments, said in (
        (["evaluate", str(plain.folder), "--vlm", str(plain.recipe_file)], "is the VLM that the run was trained with"),
        (["evaluate", str(plain.folder), "--vlm", str(tmp_path / "empty.yaml")], "has no section vlm"),
        (["evaluate", str(plain.folder), "--vlm", str(tmp_path / "faulty.yaml")], "vlm.max_new_tokens"),
        (["evaluate", str(plain.folder), "--vlm", str(tmp_path / "none.yaml")], "cannot be read"),
        (["compare", "--transfer", str(plain.folder)], "at least two runs"),
        (["compare", "--transfer", str(plain.folder), str(plain.folder)], "at least two runs"),
    ):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 2 and said in " ".join(done.stderr.split()), (arguments, done.stderr)


def results(values: list[float], selector: str = "grpo", first: int = 0) -> list[Result]:
    return [
        Result(first + query, selector, 0, shots, 0, (), "x", value, value, "kind")
        for query, value in enumerate(values)
        for shots in (1, 2)
    ]


def test_cells_hold_the_mean_over_shots_of_the_right_results() -> None:
    answers = {
        "a": [
            Answers("x", [*results([1, 1, 0, 0]), *results([1, 0, 0, 0], "mixed")], "mixed"),
            Answers("y", results([1, 0, 0, 0]), "mixed"),
        ],
        "b": [Answers("y", [*results([1, 1, 1, 1]), *results([0, 0, 0, 0], "random")], "random")],
    }
    found = transfer_matrix({"a": "x", "b": "y"}, answers, resamples=100)
    told = {(cell.trained_on, cell.answered_by): (cell.selector, cell.accuracy) for cell in found.cells}
    assert told == {
        ("a", "a"): ("grpo", 50.0),
        ("a", "b"): ("grpo", 25.0),
        ("b", "b"): ("grpo", 100.0),
        (FREE_ROW, "a"): ("mixed", 25.0),
        (FREE_ROW, "b"): ("random", 0.0),
    }
    assert found.missing == (("b", "a"),) and found.cell("b", "a") is None


def test_other_queries_are_not_compared() -> None:
    answers = {"a": [Answers("x", results([1, 0]), None)], "b": [Answers("y", results([1, 0], first=9), None)]}
    with pytest.raises(InputError, match="evaluated on different queries"):
        transfer_matrix({"a": "x", "b": "y"}, answers, resamples=10)
    with pytest.raises(InputError, match="b has no trained selector"):
        transfer_matrix(
            {"a": "x", "b": "y"},
            {**answers, "b": [Answers("y", results([1, 0], "mixed"), None)]},
            resamples=10,
        )
