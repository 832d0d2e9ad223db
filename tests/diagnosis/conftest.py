"""A healthy run, made up with the columns and the size of figures of a real one, and ways to spoil it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.evaluation.results import Result
from shotsmith.recipe import parse_recipe
from shotsmith.runs.folder import flat
from shotsmith.runs.showing import columns

EPOCHS = {"supervised": 20, "rce": 5, "grpo": 16}
SEEDS = (0, 1)
POOL = 16


def wobble(*numbers: float) -> float:
    """Something between -1 and 1 that looks random and is not."""
    return math.sin(sum((place + 1) * 12.9898 * number for place, number in enumerate(numbers)) * 43.7)


def row(seed: int, phase: str, epoch: int) -> dict[str, Any]:
    """One epoch: losses fall, reward rises, the policy moves away from its reference and grows surer."""
    done, noise = epoch / EPOCHS[phase], wobble(seed + 1, epoch, len(phase))
    start, gain = {"supervised": (0.60, 0.30), "rce": (0.92, 0.10), "grpo": (1.04, 0.30)}[phase]
    figures: dict[str, Any] = {
        "grad_norm": 2.6 + 0.4 * noise,
        "learning_rate": 0.001,
        "loss": 4.0 - 1.5 * done,
        "train_loss": 4.0 - 1.5 * done,
        "entropy": 3.5 - done,
        "skipped_updates": 0,
        "val_loss": 9.0 - 0.8 * (1 - math.exp(-3 * done)) + 0.01 * noise,
        "val_reward": start + gain * (1 - math.exp(-3 * done)) + 0.008 * noise,
        "val/failures": 0.0,
        "vlm/requests": 480.0,
        "time/seconds": 10 + noise,
    }
    if phase == "grpo":
        figures |= {
            "loss": -0.011 + 0.002 * noise,
            "train_loss": -0.011 + 0.002 * noise,
            "ppo_loss": -0.017 + 0.002 * noise,
            "kl": 0.3 + 0.8 * done + 0.02 * noise,
            "entropy": 2.4 - 0.8 * done,
            "grad_norm": 1.05 + 0.15 * noise,
            "beta": 0.01,
            "adv_std": 0.93 + 0.005 * noise,
            "adv_max": 1.65 + 0.05 * noise,
            "advantage_std": 0.87,
            "clip_ratio/region_mean": 0.035 + 0.005 * noise,
            "ratio_mean": 0.998,
            "ratio_max": 1.35 + 0.05 * noise,
            "ess": 0.99,
            "behaviour_ess": 1.0,
            "failures": 0.0,
            "reward": 1.2 + 0.3 * done,
            "reward_std": 0.3,
            "frac_reward_zero_std": 0.02,
            "group/sampled": 640.0,
            "group/entered": 47.0,
            "group/frac_signal": 1.0,
            "group/frac_all_good": 0.3,
            "group/frac_all_bad": 0.15,
            "group/frac_mixed": 0.55,
        }
        figures |= {"kl_before_first_update": 0.0} if epoch == 1 else {}
    return columns({"seed": seed, "phase": phase, "epoch": epoch, **figures})


def result(query: int, seed: int | None, shots: int, selector: str = "grpo") -> Result:
    """More shots help a little; what is chosen is spread evenly over the pool."""
    places = [(query * 5 + 7 * shot + (seed or 0)) % POOL for shot in range(shots)]
    right = wobble(query, 3) + 0.1 * shots + 0.05 * wobble(query, shots, seed or 0) > 0
    sequence = tuple(100 * query + place for place in places)
    return Result(
        query,
        selector,
        seed,
        shots,
        0,
        sequence,
        f"a {query % 7}",
        1.0 if right else 0.0,
        1.0 if right else 0.0,
        "kind",
    )


@pytest.fixture(scope="session")
def healthy() -> Evidence:
    """Everything that is known of a run that went well."""
    recipe = parse_recipe(
        {"data": {"world": {}}, "grpo": {"epochs": 16, "steps_per_epoch": 10}, "pools": {"size": POOL}}
    )
    return Evidence(
        name="healthy",
        epochs=tuple(row(seed, phase, epoch) for seed in SEEDS for phase in EPOCHS for epoch in _to(EPOCHS[phase])),
        settings=flat(recipe.model_dump(mode="json")),
        results=tuple(result(query, seed, shots) for seed in SEEDS for shots in (1, 2, 3, 4) for query in range(200)),
        pools={query: tuple(100 * query + place for place in range(POOL)) for query in range(200)},
        evaluations=1,
    )


def _to(last: int) -> range:
    return range(1, last + 1)
