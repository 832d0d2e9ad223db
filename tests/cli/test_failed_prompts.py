"""`run` and `show` say how many prompts failed, and an error that follows from that names its cause."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shotsmith import experiment
from shotsmith.cli import app
from shotsmith.completions.store import Store
from shotsmith.errors import InputError, VLMError
from shotsmith.experiment.parts import Parts
from shotsmith.progress import Silent
from shotsmith.recipe import parse_recipe
from shotsmith.records import Completion, Failure
from shotsmith.runs import Run

LIMIT = Failure("the server says 400: At most 1 image(s) may be provided in one request.", permanent=True)

DATA = {
    "world": {"preset": "first", "train": 8, "val": 2, "test": 2},
    "val_queries": 2,
    "test_queries": 2,
    "train_queries": 8,
}


def make_run(folder: Path, failed: int, answered: int, **more: str) -> Run:
    """A run whose store has so many failed prompts and completions, among those of others where it is shared."""
    run = Run.create(folder / "run", parse_recipe({"name": "ours", "data": DATA, **more}))
    prefix = "ours:" if more else ""
    with Store.open(run.recipe.store or run.completions) as store:
        store.put_many([(f"{n:064x}", LIMIT) for n in range(failed)], f"{prefix}rollouts/0")
        store.put_many([(f"{n:064x}", Completion("red")) for n in range(900, 900 + answered)], f"{prefix}evaluation")
        if more:
            store.put_many([(f"{n:064x}", LIMIT) for n in range(500, 550)], "theirs:evaluation")
    return run


@pytest.mark.parametrize("shared", [False, True])
def test_show_says_how_many_of_how_many_and_why_and_what_to_do(tmp_path: Path, shared: bool) -> None:
    run = make_run(tmp_path, 7, 3, **({"store": str(tmp_path / "shared.sqlite")} if shared else {}))
    told = json.loads(CliRunner().invoke(app, ["show", str(run.folder), "--json"]).stdout)["failed_prompts"]
    assert (told["failed"], told["asked"], told["times"], told["reason"]) == (7, 10, 7, LIMIT.reason)
    shown = CliRunner().invoke(app, ["show", str(run.folder)]).stdout
    assert f"7 of 10 prompts failed: {LIMIT.reason}" in shown and "--limit-mm-per-prompt" in shown


def test_evaluate_says_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, 7, 3)
    monkeypatch.setattr(experiment, "stage", lambda *_arguments, **_named: None)
    told = json.loads(CliRunner().invoke(app, ["evaluate", str(run.folder), "--json"]).stdout)["failed_prompts"]
    assert (told["failed"], told["asked"], told["reason"]) == (7, 10, LIMIT.reason)


def test_where_nothing_failed_nothing_is_said(tmp_path: Path) -> None:
    run = make_run(tmp_path, 0, 3)
    assert json.loads(CliRunner().invoke(app, ["show", str(run.folder), "--json"]).stdout)["failed_prompts"] is None
    assert "prompts failed" not in CliRunner().invoke(app, ["show", str(run.folder)]).stdout


@pytest.mark.parametrize(("failed", "is_the_cause"), [(7, True), (1, False)])
def test_an_error_names_the_failed_prompts_where_they_are_its_cause(
    tmp_path: Path, failed: int, is_the_cause: bool
) -> None:
    run = make_run(tmp_path, failed, 20)
    with Parts(run.recipe, run, Silent()) as parts:
        parts.make_data()
        _ = parts.collector
        with (
            pytest.raises(VLMError if is_the_cause else InputError, match="nothing to train") as caught,
            parts.explaining(),
        ):
            raise InputError("there is nothing to train the rce phase on")
    assert str(caught.value).startswith("7 of 27 prompts failed: ") == is_the_cause
    assert "\n" not in str(caught.value)
