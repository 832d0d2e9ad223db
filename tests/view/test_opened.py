"""The runs of a page, by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from watched_worker import Client, Made

from shotsmith.errors import InputError
from shotsmith.recipe import parse_recipe
from shotsmith.runs import Run
from shotsmith.view.opened import OpenedRuns


def test_runs_keep_their_order_and_have_names_of_their_own(tmp_path: Path) -> None:
    folders = [tmp_path / place for place in ("b/demo", "a/demo", "demo-2", "b/demo")]
    for folder in folders[:3]:
        Run.create(folder, parse_recipe({"data": {"world": {}}}))
    runs = OpenedRuns(folders)
    assert {name: run.folder for name, run in runs.items()} == {
        "demo": folders[0],
        "demo-2": folders[1],
        "demo-2-2": folders[2],
    }


def test_a_folder_that_is_no_run_is_named(tmp_path: Path, made: Made) -> None:
    with pytest.raises(InputError, match="nowhere: is not a run folder"):
        OpenedRuns([made().folder, tmp_path / "nowhere"])


def test_a_run_that_is_made_anew_is_read_again(made: Made, tmp_path: Path) -> None:
    run = made("demo", grpo={"epochs": 4})
    runs = OpenedRuns([run.folder])
    assert runs["demo"].recipe.grpo.epochs == 4
    run.recipe_file.rename(tmp_path / "aside")
    assert runs["demo"].recipe.grpo.epochs == 4, "a moment without a recipe ends nothing"
    (tmp_path / "aside").rename(run.recipe_file)
    recipe = parse_recipe({"name": "demo", "data": {"world": {}}, "grpo": {"epochs": 9}})
    Run.create(run.folder, recipe, fresh=True)
    assert runs["demo"].recipe.grpo.epochs == 9


def test_the_list_names_runs_their_folders_and_states(made: Made, finished: Run, client: Client) -> None:
    run = made("übung 1")
    assert client(run, finished).get("/api/runs").json() == [
        {"name": "übung 1", "title": "demo", "folder": str(run.folder), "status": "created"},
        {"name": "finished", "title": "demo", "folder": str(finished.folder), "status": "done"},
    ]
    assert client(run).get("/api/runs/%C3%BCbung%201/live").json()["status"] == "created"
    assert client(run).get("/api/runs/finished/live").status_code == 404
