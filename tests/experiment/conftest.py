"""A whole experiment, small enough for a test, on the built-in world, VLM and CLIP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shotsmith import experiment
from shotsmith.progress import Silent
from shotsmith.recipe import Recipe, parse_recipe
from shotsmith.runs import Run


def small_recipe() -> Recipe:
    """Every stage and phase, a few prompts each."""
    return parse_recipe(
        {
            "name": "small",
            "data": {
                "world": {"seed": 5, "train": 260, "val": 30, "test": 40},
                "train_queries": 24,
                "val_queries": 6,
                "test_queries": 12,
                "balance_train_queries": True,
            },
            "pools": {"size": 12},
            "beam": {"queries": 6, "width": 2, "shots": 2},
            "policy": {"hidden_size": 32},
            "supervised": {"epochs": 2, "queries_per_step": 3},
            "rollouts": {"sampled": 2, "random": 1},
            "rce": {"epochs": 1, "queries_per_step": 8},
            "grpo": {"epochs": 3, "steps_per_epoch": 2, "num_generations": 4, "queries_per_step": 6},
            "evaluation": {"shots": [1, 2], "random_draws": 2, "oracle_tries": 6, "resamples": 200},
        }
    )


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
