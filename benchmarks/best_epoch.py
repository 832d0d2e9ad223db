"""Which rule for the best epoch generalises: `python benchmarks/best_epoch.py RUN [RUN ...] [--json]`.

Each rule chooses an epoch of GRPO by one half of the validation queries, and is judged by the accuracy of that epoch on
the other half; mean over many random halves and all seeds of all runs. The rules:

- highest: the highest mean reward (what training does)
- last: the last epoch
- smoothed: the highest mean of an epoch and its neighbours
- one_error: the first epoch that is within one standard error of the highest
- best: the epoch that is best on the other half itself, which no rule can know

`few` repeats it with 30 queries in place of a half. Answers come from the runs' stores: no VLM is asked. `equal` says
that the rewards of all validation queries are those that training logged.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shotsmith.checkpoints.native import load_policy
from shotsmith.experiment.parts import Parts
from shotsmith.experiment.scoring import Scorer
from shotsmith.progress import Silent
from shotsmith.recipe import load_recipe
from shotsmith.runs import Run
from shotsmith.selectors.policy import PolicySelector

Rewards = npt.NDArray[np.float64]
HALVES, FEW = 400, 30


def highest(rewards: Rewards) -> int:
    return int(rewards.mean(1).argmax())


def last(rewards: Rewards) -> int:
    return len(rewards) - 1


def smoothed(rewards: Rewards) -> int:
    means = np.pad(rewards.mean(1), 1, mode="edge")
    return int((means[:-2] + means[1:-1] + means[2:]).argmax())


def one_error(rewards: Rewards) -> int:
    means = rewards.mean(1)
    gaps = rewards[means.argmax()] - rewards
    errors = gaps.std(1) / np.sqrt(rewards.shape[1])
    return int((gaps.mean(1) <= errors).argmax())


RULES: dict[str, Callable[[Rewards], int]] = {
    "highest": highest,
    "last": last,
    "smoothed": smoothed,
    "one_error": one_error,
}


def of_seed(parts: Parts, seed: int) -> tuple[Rewards, Rewards, bool]:
    """Rewards and accuracies [epochs, queries], means over shots, and whether the rewards are as logged."""
    rows = [row for row in parts.run.epochs() if row["seed"] == seed and row["phase"] == "grpo"]
    tasks, shots, scorer = parts.tasks("val"), parts.recipe.evaluation.shots, Scorer(parts, "val")
    rewards, accuracies = [], []
    for row in rows:
        policy, _ = load_policy(parts.run.epoch(seed, "grpo", int(row["epoch"])))
        selector = PolicySelector("grpo", policy)
        pairs = [(query, one) for count in shots for query, one in enumerate(selector.select(tasks, count))]
        outcomes = scorer.outcomes(pairs, "benchmark")
        values = [(one.reward, one.accuracy) if one is not None else (np.nan, np.nan) for one in outcomes]
        table = np.array(values).reshape(len(shots), -1, 2)
        rewards.append(table[..., 0].mean(0))
        accuracies.append(100 * table[..., 1].mean(0))
    logged = [float(row["val/reward"]) for row in rows]
    return np.array(rewards), np.array(accuracies), bool(np.allclose(np.mean(rewards, 1), logged, atol=1e-6))


def judged(rewards: Rewards, accuracies: Rewards, few: bool, rng: np.random.Generator) -> dict[str, list[float]]:
    """For every rule the accuracies on queries that it did not see."""
    found: dict[str, list[float]] = {name: [] for name in [*RULES, "best"]}
    for _ in range(HALVES):
        order = rng.permutation(rewards.shape[1])
        seen = FEW if few else len(order) // 2
        chosen_by, judged_by = order[:seen], order[seen:]
        others = accuracies[:, judged_by].mean(1)
        for name, rule in RULES.items():
            found[name].append(float(others[rule(rewards[:, chosen_by])]))
        found["best"].append(float(others.max()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rng, equal = np.random.default_rng(0), True
    found: dict[str, list[float]] = {}
    for folder in options.runs:
        run = Run.open(folder)
        with Parts(load_recipe(run.recipe_file), run, Silent()) as parts:
            for seed in parts.recipe.seeds:
                rewards, accuracies, same = of_seed(parts, seed)
                equal = equal and same
                for few in (False, True):
                    for name, values in judged(rewards, accuracies, few, rng).items():
                        found.setdefault(f"{'few/' if few else 'half/'}{name}", []).extend(values)
    figures = {name: round(float(np.mean(values)), 3) for name, values in found.items()}
    for name, value in figures.items():
        print(f"{name:20} {value:8.2f}")
    if options.json:
        print(json.dumps({"figures": figures, "equal": equal}))


if __name__ == "__main__":
    main()
