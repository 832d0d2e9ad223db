"""kill -9 at any moment, then the same command again: it finishes, pays for nothing twice, and ends the same."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shotsmith.completions.store import Store
from shotsmith.errors import StoreError
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
    with Store.open(finished.completions) as store:
        total = store.count()
    moments = random.Random(0)
    for share in sorted(moments.uniform(0.0, 0.85) for _ in range(5)):
        process = subprocess.Popen(command)
        _wait_for_completions(folder, round(share * total), process)
        time.sleep(moments.uniform(0.0, 0.2))
        process.kill()
        assert process.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    subprocess.run(command, check=True)
    run = Run.open(folder)
    assert figures(run) == figures(finished)
    with Store.open(run.completions) as store:
        assert store.count() == total, "a stored completion was asked for again"


def _wait_for_completions(folder: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    """Until the run has stored so many completions (0: until it has a store)."""
    store = folder / "completions.sqlite"
    while process.poll() is None:
        if store.exists():
            with contextlib.suppress(StoreError), Store.open(store) as opened:
                if opened.count() >= count:
                    return
        time.sleep(0.02)
