"""What a stage's record says of the VLM's work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from shotsmith import experiment
from shotsmith.experiment.parts import Parts
from shotsmith.files import read_rows
from shotsmith.progress import Silent
from shotsmith.recipe import Recipe
from shotsmith.records import Request
from shotsmith.runs import Run, show


def test_stages_that_ask_the_vlm_record_its_work_and_others_none(finished: Run) -> None:
    rows = read_rows(finished.stages_file)
    stages = {row["name"]: row for row in reversed(rows)}  # other tests may have done a stage again, from the store
    assert "work" not in stages["embed"]
    for name in ("beam", "train", "evaluate"):
        work = stages[name]["work"]
        assert work["rows"] >= stages[name]["vlm_calls"] > 0
        assert 0 < work["computed"] <= work["tokens"]
        assert 0 < work["remembered"] <= work["images"]
    assert stages["beam"]["work"]["computed"] < stages["beam"]["work"]["tokens"]


def test_vision_features_outlive_a_run_beside_its_store(finished: Run, new_run: Callable[[str], Run]) -> None:
    kept = finished.completions.with_suffix(".vision")
    assert len(list(kept.glob("*/*/*.safetensors"))) > 20
    run = new_run("other")
    kept.rename(run.completions.with_suffix(".vision"))
    try:
        experiment.run(run.recipe, run, Silent(), until="beam")
    finally:
        run.completions.with_suffix(".vision").rename(kept)
    work = {stage["name"]: stage for stage in show(run)["stages"]}["beam"]["work"]
    assert work["read"] > 20
    assert work["read"] + work["remembered"] == work["images"]


def test_a_folder_that_is_named_is_taken(recipe: Recipe, tmp_path: Path) -> None:
    changed = recipe.vlm.model_copy(
        update={"vision_cache": recipe.vlm.vision_cache.model_copy(update={"folder": tmp_path / "shared"})}
    )
    run = Run.create(tmp_path / "run", recipe.model_copy(update={"vlm": changed}))
    experiment.run(run.recipe, run, Silent(), until="pools")
    with Parts(run.recipe, run, Silent()) as parts:
        search = parts.tasks("train").queries[0]
        parts.ask([Request(search)], "here")
    assert len(list((tmp_path / "shared").glob("*/*/*.safetensors"))) == 1
