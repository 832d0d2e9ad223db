"""A recipe with every stage and phase, small enough for a test: built-in world, VLM and CLIP."""

from __future__ import annotations

from typing import Any

from shotsmith.recipe import Recipe, parse_recipe


def small_recipe() -> Recipe:
    """Every stage and phase, a few prompts each, with a pool for every query."""
    return _small("small", {"preset": "first", "seed": 5, "train": 260, "val": 30, "test": 40}, {"size": 12})


def small_bank_recipe() -> Recipe:
    """The same, choosing from the whole bank of a world that has one."""
    return _small("small-bank", {"seed": 5, "bank": 200, "train": 60, "val": 30, "test": 40}, None)


def _small(name: str, world: dict[str, Any], pools: dict[str, Any] | None) -> Recipe:
    return parse_recipe(
        {
            "name": name,
            "data": {
                "world": world,
                "train_queries": 24,
                "val_queries": 6,
                "test_queries": 12,
                "balance_train_queries": True,
            },
            "pools": pools,
            "beam": {"queries": 6, "width": 2, "shots": 2},
            "policy": {"hidden_size": 32},
            "supervised": {"epochs": 2, "queries_per_step": 3},
            "rollouts": {"sampled": 2, "random": 1},
            "rce": {"epochs": 1, "queries_per_step": 8},
            "grpo": {"epochs": 3, "steps_per_epoch": 2, "num_generations": 4, "queries_per_step": 6},
            "evaluation": {
                **{"shots": [1, 2], "random_draws": 2, "oracle_tries": 6, "resamples": 200},
                "fixed_tries": 3,
            },
        }
    )
