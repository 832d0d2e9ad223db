"""Relative paths of a recipe start from the working directory, or else from its own folder, and never from a guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotsmith.errors import InputError, RecipeError
from shotsmith.recipe import load_recipe
from shotsmith.runs import Run

TABLE = "data: {table: {train: t/train.csv, test: t/test.csv}}\n"


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe in a folder of its own; the working directory is another."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    file = tmp_path / "there" / "recipe_of_mine.yaml"
    file.write_text(TABLE)
    return file


def put(folder: Path, *names: str) -> None:
    (folder / "t").mkdir()
    for name in names:
        (folder / "t" / name).write_text("question\n")


def table_of(recipe: Path, *overrides: str) -> tuple[Path, Path]:
    table = load_recipe(recipe, overrides).data.table
    assert table is not None
    return table.train, table.test


def test_what_is_found_from_the_working_directory_starts_there(recipe: Path) -> None:
    put(Path.cwd(), "train.csv", "test.csv")
    assert table_of(recipe) == (Path("t/train.csv"), Path("t/test.csv"))


def test_what_is_only_found_beside_the_recipe_starts_there(recipe: Path) -> None:
    put(recipe.parent, "train.csv")
    assert table_of(recipe) == (recipe.parent / "t" / "train.csv", Path("t/test.csv"))


def test_what_is_found_from_both_is_refused_naming_both(recipe: Path) -> None:
    put(recipe.parent, "train.csv")
    put(Path.cwd(), "train.csv")
    with pytest.raises(RecipeError, match="is found both from the working directory") as caught:
        load_recipe(recipe)
    assert str(Path.cwd()) in str(caught.value) and str(recipe.parent) in str(caught.value)
    assert caught.value.field == "data.table.train"


def test_a_recipe_in_the_working_directory_has_one_place(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(recipe.parent, "train.csv", "test.csv")
    monkeypatch.chdir(recipe.parent)
    assert table_of(Path(recipe.name)) == (Path("t/train.csv"), Path("t/test.csv"))


def test_each_recipe_of_a_base_has_its_own_folder_and_overrides_none(recipe: Path, tmp_path: Path) -> None:
    put(recipe.parent, "train.csv", "test.csv")
    above = tmp_path / "above"
    above.mkdir()
    (above / "m").mkdir()
    (above / "top.yaml").write_text(f"base: {recipe}\nvlm: {{path: m}}\n")
    loaded = load_recipe(above / "top.yaml", ["data.table.test=t/test.csv"])
    assert loaded.data.table is not None and loaded.data.table.train == recipe.parent / "t" / "train.csv"
    assert loaded.data.table.test == Path("t/test.csv") and loaded.vlm.path == str(above / "m")


def test_a_runs_copy_is_read_as_it_was_written(recipe: Path, tmp_path: Path) -> None:
    put(Path.cwd(), "train.csv", "test.csv")
    run = Run.create(tmp_path / "run", load_recipe(recipe))
    put(run.folder, "train.csv", "test.csv")
    assert Run.open(run.folder).recipe == run.recipe


def test_names_of_models_are_no_paths(recipe: Path) -> None:
    recipe.write_text(TABLE + "vlm: {path: Qwen/some-model}\n")
    assert load_recipe(recipe).vlm.path == "Qwen/some-model"


def test_a_relative_path_that_names_nothing_says_where_it_was_looked_for() -> None:
    assert str(InputError("no such file", file="t/a.csv")) == f"t/a.csv: no such file (looked for from {Path.cwd()})"
    assert str(InputError("no such file", file="/t/a.csv")) == "/t/a.csv: no such file"
