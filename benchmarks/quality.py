"""What training is worth: the demo's pipeline at full size, over several seeds.

    python benchmarks/quality.py [--seeds 3] [--out runs/quality] [--json]

Resumable like any run. Figures are points of official VQA accuracy on the test queries, averaged over shots and seeds
unless they say otherwise; `equal` says that training asked the VLM for at most as much as the beam data did.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

from shotsmith import experiment
from shotsmith.cli.terminal import listening
from shotsmith.completions.store import Store
from shotsmith.recipe import load_recipe
from shotsmith.runs import Run, show

RECIPE = Path(__file__).parents[1] / "recipes" / "quality.yaml"


def main() -> None:
    """Run the recipe and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/quality"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    recipe = load_recipe(RECIPE, [f"seeds={list(range(options.seeds))}"])
    run = Run.create(options.out, recipe)
    with run.lock(), listening(quiet=False) as progress:
        experiment.run(recipe, run, progress)
    figures = measure(run)
    fair = figures["beam_vlm_calls"] >= figures["grpo_vlm_calls_per_seed"]
    if options.json:
        sys.stdout.write(json.dumps({"figures": figures, "equal": fair}) + "\n")
        return
    for name, value in figures.items():
        sys.stdout.write(f"{name:40s} {value:10.2f}\n")


def measure(run: Run) -> dict[str, float]:
    """Every figure the product is judged by, read from a finished run."""
    shown = show(run)
    best = (shown["best_free"] or {}).get("selector", "")
    figures: dict[str, float] = {}
    for row in shown["test"]:
        if row["metric"] == "vqa_accuracy":
            figures[f"{row['selector']}@{row['shots']}"] = row["accuracy"]
    for name, a, b in (
        ("grpo_minus_best_training_free", "grpo", best),
        ("grpo_minus_supervised", "grpo", "supervised"),
        ("grpo_minus_rce", "grpo", "rce"),
        ("grpo_minus_reversed", "grpo", "grpo_reversed"),
        ("headroom_oracle_minus_best_training_free", "oracle", best),
    ):
        figures |= _contrast(shown, name, a, b)
    for shots in run.recipe.evaluation.shots:
        figures |= _contrast(shown, f"grpo_minus_supervised@{shots}", "grpo", "supervised", shots)
    figures["oracle_2_minus_oracle_1"] = figures["oracle@2"] - figures["oracle@1"]
    figures["gap_closed"] = (figures["grpo@mean"] - figures[f"{best}@mean"]) / (
        figures["oracle@mean"] - figures[f"{best}@mean"]
    )
    return figures | _signal(shown) | _cost(run)


def _contrast(shown: dict[str, Any], name: str, a: str, b: str, shots: int | str = "mean") -> dict[str, float]:
    """Difference, interval and p of a minus b, whichever way round the table has it."""
    for row in shown["contrasts"]:
        if row["shots"] == shots and (row["a"], row["b"]) == (a, b):
            return {
                name: row["difference"],
                f"{name}_low": row["low"],
                f"{name}_high": row["high"],
                f"{name}_p": row["p"],
            }
        if row["shots"] == shots and (row["a"], row["b"]) == (b, a):
            return {
                name: -row["difference"],
                f"{name}_low": -row["high"],
                f"{name}_high": -row["low"],
                f"{name}_p": row["p"],
            }
    raise SystemExit(f"the summary has no contrast of {a} and {b} at {shots} shots")


def _signal(shown: dict[str, Any]) -> dict[str, float]:
    """The weakest epoch of GRPO: groups with signal among those that enter, spread of advantages, first KL."""
    rows = [row for row in shown["epochs"] if row["phase"] == "grpo"]
    return {
        "grpo_frac_signal_min": min(row["group/frac_signal"] for row in rows),
        "grpo_adv_std_min": min(row["adv_std"] for row in rows),
        "grpo_kl_before_first_update": max(abs(row["kl_before_first_update"]) for row in rows if row["epoch"] == 1),
    }


def _cost(run: Run) -> dict[str, float]:
    """VLM calls of the beam data, and of everything after supervised training, per seed."""
    seeds = len(run.recipe.seeds)
    with Store.open(run.completions) as store:
        after = sum(
            store.count(f"seed-{seed}/{part}") for seed in run.recipe.seeds for part in ("rollouts", "rce", "grpo")
        )
        return {"beam_vlm_calls": float(store.count("beam")), "grpo_vlm_calls_per_seed": after / seeds}


if __name__ == "__main__":
    main()
