"""A run that chose from a whole bank, and a bank of an application."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from small_experiment import small_bank_recipe

from shotsmith import experiment
from shotsmith.progress import Silent
from shotsmith.runs import Run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small run over a whole bank, with its evaluation."""
    folder = tmp_path_factory.mktemp("runs") / "bank"
    recipe = small_bank_recipe()
    settings = recipe.model_dump(mode="json")
    settings["supervised"]["epochs"] = settings["rce"]["epochs"] = 0
    recipe = type(recipe).model_validate(settings)
    run = Run.create(folder, recipe)
    experiment.run(recipe, run, Silent(), until="evaluate")
    return run


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SHOTSMITH_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def pictures(finished: Run) -> list[Path]:
    """Pictures of the test split."""
    return sorted((finished.world / "test2014").glob("*.png"))


@pytest.fixture
def rows(pictures: list[Path]) -> list[Mapping[str, Any]]:
    """Examples of an application, with ids of its own."""
    return [
        {"id": f"case {number}", "image": picture, "question": "what is it called?", "answers": f"name{number}"}
        for number, picture in enumerate(pictures[:12])
    ]
