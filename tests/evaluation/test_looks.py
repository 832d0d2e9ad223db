"""Looks at the test queries: each is remembered once, whatever happens to the rest of the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotsmith import __version__
from shotsmith.checkpoints.native import Manifest
from shotsmith.evaluation.looks import record_look
from shotsmith.recipe import PolicySettings, parse_recipe
from shotsmith.runs import Phase, Run, show


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", parse_recipe({"data": {"world": {}}}))


def checkpoint(epoch: int = 1, weights: str = "a" * 64, seed: int = 0, phase: Phase = "grpo") -> Manifest:
    return Manifest(
        policy=PolicySettings(),
        embedding_width=8,
        encoder="clip",
        vlm="vlm",
        shots=(1,),
        recipe="r",
        seed=seed,
        phase=phase,
        epoch=epoch,
        weights=weights,
    )


def test_a_look_says_when_by_which_code_and_at_which_checkpoints(run: Run) -> None:
    assert record_look(run, [3, 1, 2], [checkpoint(epoch=4, seed=1), checkpoint(epoch=2)])
    (look,) = show(run)["evaluations"]
    assert set(look) == {"time", "version", "commit", "recipe", "queries", "checkpoints"}
    assert look["version"] == __version__ and look["time"].endswith("+00:00")
    assert look["checkpoints"] == [
        {"seed": 0, "phase": "grpo", "epoch": 2, "weights": "a" * 64},
        {"seed": 1, "phase": "grpo", "epoch": 4, "weights": "a" * 64},
    ]


def test_evaluating_the_same_checkpoints_again_is_the_same_look(run: Run) -> None:
    two = [checkpoint(), checkpoint(phase="rce")]
    assert record_look(run, [1, 2], two)
    assert not record_look(run, [2, 1], two[::-1])
    assert len(run.evaluations()) == 1


@pytest.mark.parametrize(
    ("queries", "changed"),
    [
        ([1, 2], checkpoint(epoch=2)),
        ([1, 2], checkpoint(weights="b" * 64)),
        ([1, 2], checkpoint(seed=1)),
        ([1, 3], checkpoint()),
    ],
)
def test_other_checkpoints_or_queries_are_another_look(run: Run, queries: list[int], changed: Manifest) -> None:
    record_look(run, [1, 2], [checkpoint()])
    assert record_look(run, queries, [changed])
    assert not record_look(run, [1, 2], [checkpoint()])  # nothing new is learned by going back
    assert len(run.evaluations()) == 2


def test_a_line_cut_short_by_a_kill_is_no_look(run: Run) -> None:
    record_look(run, [1], [checkpoint()])
    whole = run.evaluations_file.read_bytes()
    run.evaluations_file.write_bytes(whole[:-20])
    assert run.evaluations() == []
    assert record_look(run, [1], [checkpoint()])


def test_starting_anew_does_not_undo_that_the_test_queries_were_seen(run: Run) -> None:
    record_look(run, [1, 2], [checkpoint()])
    anew = Run.create(run.folder, parse_recipe({"data": {"world": {}}, "seeds": [7]}), fresh=True)
    assert record_look(anew, [1, 2], [checkpoint(weights="c" * 64)])
    assert len(anew.evaluations()) == 2
    # Killed between deleting and beginning: the folder is still one that a run may take.
    run.recipe_file.unlink()
    assert len(Run.create(run.folder, run.recipe).evaluations()) == 2
