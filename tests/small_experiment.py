"""A recipe with every stage and phase, small enough for a test: built-in world, VLM and CLIP."""

from __future__ import annotations

from shotsmith.recipe import Recipe, parse_recipe


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
            "evaluation": {
                **{"shots": [1, 2], "random_draws": 2, "oracle_tries": 6, "resamples": 200},
                **{"fixed_tries": 3, "fixed_queries": 4},
            },
        }
    )
