"""kill -9 at any moment, then the same command again: it finishes, pays for nothing twice, and ends the same."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shotsmith.completions.store import Store
from shotsmith.recipe import Recipe, dump_recipe
from shotsmith.runs import Run, show


def figures(run: Run) -> dict[str, object]:
    """All that must not depend on interruptions: epochs, results, choices; everything but time."""
    epochs = [
        {name: value for name, value in row.items() if not name.startswith("time/")} for row in show(run)["epochs"]
    ]
    summary = json.loads(run.summary.read_text())
    calls = [(stage["name"], stage["vlm_calls"], stage["cache_hits"]) for stage in show(run)["stages"]]
    return {"epochs": epochs, "summary": summary, "calls": calls}


@pytest.mark.timeout(400)
def test_a_run_killed_again_and_again_ends_like_one_that_was_not(recipe: Recipe, finished: Run, tmp_path: Path) -> None:
    recipe_file, folder = tmp_path / "recipe.yaml", tmp_path / "killed"
    recipe_file.write_text(dump_recipe(recipe))
    command = [sys.executable, "-m", "shotsmith", "run", str(recipe_file), "--out", str(folder), "--quiet"]
    delays, kills = random.Random(0), 0
    for _ in range(60):
        process = subprocess.Popen(command)
        try:
            # Most of a process is start-up: wait until it owns the run, then a random while.
            _wait_for_lock(folder, process)
            process.wait(timeout=delays.uniform(1.0, 9.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            continue
        assert process.returncode == 0
        break
    assert kills >= 3
    run = Run.open(folder)
    assert figures(run) == figures(finished)
    with Store.open(run.completions) as killed, Store.open(finished.completions) as whole:
        assert killed.count() == whole.count()


def _wait_for_lock(folder: Path, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        if folder.exists() and (folder / "recipe.yaml").exists() and Run.open(folder).status() == "running":
            return
        time.sleep(0.05)
