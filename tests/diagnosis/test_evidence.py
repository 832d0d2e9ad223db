"""Evidence from a run's folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shotsmith.data.load import load_splits
from shotsmith.data.world import make_world
from shotsmith.diagnosis.diagnose import diagnose
from shotsmith.diagnosis.evidence import evidence_of
from shotsmith.embeddings.cached import write_stamped
from shotsmith.errors import DataError, InputError
from shotsmith.evaluation.results import Result, write_results
from shotsmith.files import append_row
from shotsmith.recipe import parse_recipe
from shotsmith.runs import Run

WORLD = {"seed": 0, "bank": 12, "train": 8, "val": 4, "test": 8}
RECIPE = {
    "name": "small",
    "data": {"world": WORLD, "train_queries": 2, "val_queries": 2, "test_queries": 5},
    "pools": {"size": 4},
    "beam": {"queries": 2},
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with two epochs, and no results yet."""
    run = Run.create(tmp_path / "small", parse_recipe(RECIPE))
    for epoch in (1, 2):
        run.record_epoch({"seed": 0, "phase": "grpo", "epoch": epoch, "val/loss": 5.0, "kl": 9.0 * (epoch - 1)})
    return run


def evaluated(run: Run, pools: int = 5) -> Run:
    assert run.recipe.data.world is not None
    make_world(run.world, run.recipe.data.world)
    rows = np.arange(4 * pools, dtype=np.int64).reshape(pools, 4) % 12
    write_stamped(run.pools("test"), {"pools": rows}, "stamp")
    write_results(run.results, [Result(1, "grpo", 0, 2, 0, (3, 3), "a", 1.0, 1.0, "kind")])
    look_at(run, "first")
    return run


def look_at(run: Run, weights: str) -> None:
    """Note that some weights were evaluated on the test queries."""
    append_row(run.evaluations_file, {"time": "now", "queries": "1", "checkpoints": [{"weights": weights}]})


def test_a_run_that_is_not_evaluated_yet_is_evidence_too(run: Run) -> None:
    evidence = evidence_of(run.folder)
    assert (evidence.name, evidence.results, evidence.pools, evidence.evaluations) == ("small", (), {}, 0)
    assert evidence.settings["grpo.kl.controller"] == "fixed"
    assert evidence.curve("val_loss").values == (5.0, 5.0)
    assert [finding.key for finding in diagnose(evidence)] == ["kl_exploded"]


def test_results_pools_and_repeated_evaluations_are_read(run: Run) -> None:
    look_at(evaluated(run), "second")
    evidence = evidence_of(run.folder)
    assert len(evidence.pools) == 5 and {len(pool) for pool in evidence.pools.values()} == {4}
    assert evidence.evaluations == 2
    assert {finding.key for finding in diagnose(evidence)} == {
        "kl_exploded", "repeated_demonstrations", "test_evaluated_again",
    }  # fmt: skip


def test_pools_hold_dataset_ids_not_rows(run: Run) -> None:
    evidence, splits = evidence_of(evaluated(run).folder), load_splits(run.recipe.data, run.world)
    assert {number for pool in evidence.pools.values() for number in pool} == {one.id for one in splits.bank}
    assert evidence.pools.keys() <= {one.id for one in splits.test}


def test_where_queries_choose_from_the_whole_bank_there_are_no_pools(tmp_path: Path) -> None:
    recipe = parse_recipe({name: value for name, value in RECIPE.items() if name != "pools"})
    evidence = evidence_of(evaluated(Run.create(tmp_path / "whole", recipe)).folder)
    assert evidence.results and evidence.pools == {}
    assert "position_bias" not in {finding.key for finding in diagnose(evidence)}


def test_no_picture_is_read(run: Run) -> None:
    for image in evaluated(run).world.glob("*/*.png"):
        image.write_bytes(b"no picture")
    assert len(evidence_of(run.folder).pools) == 5


def test_pools_of_other_queries_are_refused(run: Run) -> None:
    with pytest.raises(DataError, match="holds 3 pools for 5 queries"):
        evidence_of(evaluated(run, pools=3).folder)


def test_another_run_stands_beside(run: Run) -> None:
    other = evidence_of(run.folder, Path(__file__).parent / "scheme6.md").against
    assert other is not None and other.name == "scheme6"


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run folder"):
        evidence_of(tmp_path)


def test_neither_torch_nor_a_model_is_loaded() -> None:
    code = "import sys, shotsmith.diagnosis.evidence, shotsmith.diagnosis.diagnose; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "scipy" in loaded and not {"torch", "transformers"} & set(loaded)
