"""A whole experiment, small enough for a test, on the built-in world, VLM and CLIP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from small_experiment import small_recipe

from shotsmith import experiment
from shotsmith.progress import Silent
from shotsmith.recipe import Recipe
from shotsmith.runs import Run


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """The small recipe."""
    return small_recipe()


@pytest.fixture(scope="session")
def finished(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of it, never interrupted."""
    run = Run.create(tmp_path_factory.mktemp("runs") / "whole", recipe)
    experiment.run(recipe, run, Silent())
    return run


@pytest.fixture
def new_run(recipe: Recipe, tmp_path: Path) -> Callable[[str], Run]:
    """Makes an empty run of it."""
    return lambda name: Run.create(tmp_path / name, recipe)
