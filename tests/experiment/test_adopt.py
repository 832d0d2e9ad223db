"""Taking over what another run has prepared."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotsmith.experiment.adopt import adopt
from shotsmith.recipe import parse_recipe
from shotsmith.runs import Run

BASE = {"data": {"world": {"seed": 1}}, "beam": {"queries": 3}}


def prepared(folder: Path) -> Run:
    run = Run.create(folder, parse_recipe(BASE))
    for part in ("world/facts.json", "embeddings/train.safetensors", "embeddings/bank.safetensors", "beam.json"):
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        (folder / part).write_text(part)
    for stage in ("data", "embed", "pools", "beam", "train"):
        run.record(stage, 9.0, 7, 5)
    return run


def test_everything_before_training_is_taken_over_from_a_run_with_the_same_preparation(tmp_path):
    other, run = prepared(tmp_path / "a"), Run.create(tmp_path / "b", parse_recipe({**BASE, "grpo": {"epochs": 1}}))
    assert adopt(run, other) == ["data", "embed", "pools", "beam"]
    assert (run.world / "facts.json").read_text() == "world/facts.json"
    assert run.beam.read_text() == "beam.json"
    assert run.embeddings("bank").read_text() == "embeddings/bank.safetensors"
    assert [stage["name"] for stage in run.stages()] == ["data", "embed", "pools", "beam"]
    assert all(stage["vlm_calls"] == 0 for stage in run.stages())
    assert adopt(run, other) == []


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"data": {"world": {"seed": 2}}}, []),
        ({"encoder": {"path": "clip"}}, ["data"]),
        ({"data": {"world": {"seed": 1}, "train_queries": 700}}, ["data", "embed"]),
        ({"pools": {"size": 32}}, ["data", "embed"]),
        ({"beam": {"queries": 4}}, ["data", "embed", "pools"]),
        ({"vlm": {"path": "elsewhere"}}, ["data", "embed", "pools"]),
    ],
)
def test_nothing_is_taken_over_from_the_first_difference_on(tmp_path, change, kept):
    other, run = prepared(tmp_path / "a"), Run.create(tmp_path / "b", parse_recipe({**BASE, **change}))
    assert adopt(run, other) == kept


def test_the_list_of_rows_left_out_is_taken_over_with_the_data_it_belongs_to(tmp_path):
    other, run = prepared(tmp_path / "a"), Run.create(tmp_path / "b", parse_recipe(BASE))
    other.skipped.write_text("listed")
    adopt(run, other)
    assert run.skipped.read_text() == "listed"


def test_what_is_taken_over_stays_when_the_other_run_is_changed(tmp_path):
    other, run = prepared(tmp_path / "a"), Run.create(tmp_path / "b", parse_recipe(BASE))
    adopt(run, other)
    Run.create(other.folder, parse_recipe(BASE), fresh=True)
    assert not other.beam.exists()
    assert run.beam.read_text() == "beam.json"


def test_a_stage_the_other_has_not_done_is_not_taken_over(tmp_path):
    other = Run.create(tmp_path / "a", parse_recipe(BASE))
    other.record("data", 1.0, 0, 0)
    run = Run.create(tmp_path / "b", parse_recipe(BASE))
    assert adopt(run, other) == ["data"]
