"""What a run keeps from its queries: the rows, their record, and sizes that follow from them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from setting_probes.stages import made_up

from shotsmith import experiment
from shotsmith.errors import DataError
from shotsmith.experiment.adopt import adopt
from shotsmith.experiment.parts import Parts
from shotsmith.progress import Silent
from shotsmith.recipe import Recipe, parse_recipe
from shotsmith.runs import SPLITS, Run, show


def write_table(folder: Path, name: str, reds: list[int]) -> str:
    """A table of images, each of one colour, named for their rows."""
    (folder / name).mkdir()
    rows = []
    for number, red in enumerate(reds):
        Image.new("RGB", (4, 4), (red, 0, 0)).save(folder / name / f"{number}.png")
        rows.append({"image": f"{number}.png", "question": f"{name} {number}?", "answers": [f"{number}"]})
    (folder / name / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(folder / name)


@pytest.fixture
def recipe_of(tmp_path: Path) -> Any:
    """A recipe on small tables; its bank holds the first test image twice and a validation image once."""
    tables = {
        "train": write_table(tmp_path, "train", list(range(10, 20))),
        "val": write_table(tmp_path, "val", list(range(30, 35))),
        "test": write_table(tmp_path, "test", list(range(40, 46))),
    }
    bank = write_table(tmp_path, "curated", [*range(60, 72), 40, 31, 40])

    def make(data: Mapping[str, Any] | None = None, **sections: Any) -> Recipe:
        settings = {"table": tables, "bank": {"table": {"file": bank}}, **(data or {})}
        return parse_recipe({"data": settings, "supervised": {"epochs": 0}, **sections})

    return make


def run_to(recipe: Recipe, folder: Path, stage: str = "pools") -> Run:
    run = Run.create(folder, recipe)
    with made_up():
        experiment.run(recipe, run, Silent(), until=stage)
    return run


def parts_of(recipe: Recipe, folder: Path) -> Parts:
    run = Run.create(folder, recipe)
    return experiment.Parts(recipe, run, Silent())


def test_copies_of_queries_in_the_bank_are_barred_counted_and_shown(
    recipe_of: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run = run_to(recipe_of(), tmp_path / "run")
    barred = show(run)["barred"]
    nothing = {"itself": 0, "image": 0, "content": 0, "similarity": 0, "twins": 0}
    assert barred == {
        "train": {"queries": 10, "affected": 0, **nothing},
        "val": {"queries": 5, "affected": 1, **nothing, "content": 1},
        "test": {"queries": 6, "affected": 1, **nothing, "content": 2},
    }
    (line,) = (record.message for record in caplog.records if "barred" in record.message)
    assert "val 1 of 5 queries (content 1); test 1 of 6 queries (content 2)" in line


def test_pools_and_the_whole_bank_bar_the_same_rows(recipe_of: Any, tmp_path: Path) -> None:
    bank = {"data": {"bar_similarity": 0.6}}
    rows = []
    for name, pools in (("whole", None), ("pools", {})):
        recipe = recipe_of(**bank, pools=pools)
        with made_up(), parts_of(recipe, tmp_path / name) as parts:
            tasks = [parts.tasks(split) for split in SPLITS]
        rows.append([[barred.tolist() for barred in some.barred] for some in tasks])
    assert rows[0] == rows[1]
    assert sum(map(len, rows[0][2])) > 2  # more than by content
    left = 15 - max(len(barred) for some in tasks for barred in some.barred)
    for some in tasks:
        assert some.pools.shape[1] == left  # a default that is too large
        for pool, barred in zip(some.pools, some.barred, strict=True):
            assert not set(pool.tolist()) & set(barred.tolist())


def test_similarity_that_leaves_too_little_is_an_error(recipe_of: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"evaluation.shots: 12 demonstrations are wanted, but the bank has 15 entries"):
        run_to(recipe_of({"bar_similarity": 0.01}, evaluation={"shots": [12]}), tmp_path / "run")


def test_missing_sizes_stop_the_run_when_the_data_are_loaded(recipe_of: Any, tmp_path: Path) -> None:
    recipe = recipe_of({"train_queries": 11, "test_queries": 7}, pools={"size": 15})
    with pytest.raises(DataError) as caught:
        run_to(recipe, tmp_path / "run", "data")
    for name in ("data.train_queries: 11", "data.test_queries: 7", "pools.size: 15"):
        assert name in str(caught.value)


def test_a_run_goes_on_from_its_resolved_recipe_with_the_sizes_it_began_with(recipe_of: Any, tmp_path: Path) -> None:
    run = run_to(recipe_of(), tmp_path / "run", "data")
    with made_up():
        experiment.run(Run.open(run.folder).recipe, run, Silent(), until="pools")
    assert show(run)["barred"]["val"]["queries"] == 5


def test_a_run_that_takes_over_the_pools_takes_over_what_was_barred(recipe_of: Any, tmp_path: Path) -> None:
    first = run_to(recipe_of(), tmp_path / "first")
    second = Run.create(tmp_path / "second", recipe_of(seeds=[7]))
    assert adopt(second, first) == ["data", "embed", "pools"]
    assert show(second)["barred"] == show(first)["barred"]
    third = Run.create(tmp_path / "third", recipe_of({"bank": None}))
    assert adopt(third, first) == []
