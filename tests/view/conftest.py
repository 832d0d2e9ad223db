"""Runs to be watched, and a browser that watches them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Chromium, browser
from starlette.testclient import TestClient
from watched_worker import Client, Made, epoch_row

from shotsmith.completions.store import Store
from shotsmith.recipe import parse_recipe
from shotsmith.runs import Run
from shotsmith.runs.stages import STAGE_NAMES
from shotsmith.view.app import make_app
from shotsmith.view.opened import OpenedRuns


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Make a run that nothing has been done in yet."""

    def make(folder: str = "demo", **settings: object) -> Run:
        recipe = parse_recipe({"name": "demo", "data": {"world": {}}, "grpo": {"epochs": 4}, **settings})
        return Run.create(tmp_path / folder, recipe)

    return make


@pytest.fixture
def finished(made: Made) -> Run:
    """A run that is done, with all that the page shows."""
    run = made("finished")
    with run.lock():
        for name in STAGE_NAMES:
            run.record(name, 12.5, 400 if name == "train" else 0, 30 if name == "train" else 0)
    for epoch in range(5):
        run.record_epoch(epoch_row(epoch))
    cells = [
        {"selector": selector, "shots": shots, "metric": "vqa_accuracy", "accuracy": mean, "low": mean - 4}
        | {"high": mean + 4, "n": 200}
        for selector, mean in {"zero_shot": 20.0, "mixed": 48.0, "grpo": 88.0, "oracle": 93.0}.items()
        for shots in (1, 2, "mean")
    ]
    contrast = {"a": "grpo", "b": "mixed", "shots": "mean", "difference": 40.0, "low": 34.0, "high": 46.0, "p": 0.0001}
    best = {"selector": "mixed", "best_shots": 2}
    run.summary.parent.mkdir()
    run.summary.write_text(json.dumps({"test": cells, "contrasts": [contrast], "best_free": best}))
    Store.open(run.completions).close()
    return run


@pytest.fixture
def client() -> Client:
    """A client of the page of some runs, at the address that a browser would use."""

    def make(*runs: Run, host: str = "127.0.0.1") -> TestClient:
        return TestClient(make_app(OpenedRuns([run.folder for run in runs]), host), base_url=f"http://{host}:8500")

    return make


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started
