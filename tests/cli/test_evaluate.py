"""`shotsmith evaluate` says when the test queries have been looked at before."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

import shotsmith
from shotsmith.cli import app
from shotsmith.files import append_row, write_json
from shotsmith.recipe import parse_recipe
from shotsmith.runs import Run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    run = Run.create(tmp_path / "run", parse_recipe({"data": {"world": {}}}))
    row = {
        "selector": "grpo",
        "shots": 1,
        "metric": "vqa_accuracy",
        "accuracy": 50.0,
        "low": 40.0,
        "high": 60.0,
        "n": 9,
    }

    def stage(of: Run, name: str, progress: object, recipe: object) -> None:
        write_json(of.summary, {"test": [row], "contrasts": []})
        append_row(of.evaluations_file, {"time": "now", "queries": "q", "checkpoints": len(of.evaluations())})

    stand_in = ModuleType("shotsmith.experiment")
    stand_in.stage = stage  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shotsmith.experiment", stand_in)
    monkeypatch.setattr(shotsmith, "experiment", stand_in, raising=False)
    return run


def test_only_a_second_look_is_spoken_of(run: Run) -> None:
    first, second = (CliRunner().invoke(app, ["evaluate", str(run.folder)]) for _ in range(2))
    assert first.exit_code == second.exit_code == 0
    assert "looked at" not in first.stdout and "looked at 2 times" in second.stdout
