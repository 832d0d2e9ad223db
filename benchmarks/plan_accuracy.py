"""How far `shotsmith plan` is from what a run asks for: six recipes, planned, then run with the built-in VLM.

    python benchmarks/plan_accuracy.py [--only NAME ...] [--out runs/planned] [--json]

Figures are calls of each stage and of all, relative to those that the run asked for: (planned - real) / real.
`at most` is the bound, `after a pilot` the estimate from a pilot on 120 validation queries, `like demo` the one from
the demo's finished run. `equal` says that no bound was exceeded. About half an hour on one core; what is done is kept.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from shotsmith import experiment
from shotsmith.cli.terminal import listening
from shotsmith.planning.bounds import bounds
from shotsmith.planning.measured import Measured, measured_in
from shotsmith.planning.pilot import run_pilot
from shotsmith.planning.plan import make_plan
from shotsmith.planning.sizes import read_sizes
from shotsmith.progress import Silent
from shotsmith.recipe import load_recipe
from shotsmith.runs import Run

RECIPES = Path(__file__).parents[1] / "recipes"
SMALL = ["data.world.train=3000", "data.world.val=150", "data.world.test=300", "data.val_queries=40"]
SHORT = ["supervised.epochs=10", "grpo.epochs=8", "grpo.steps_per_epoch=8", "grpo.queries_per_step=24"]
CHECKED: dict[str, tuple[str, str]] = {
    "demo": ("demo.yaml", ""),
    "stop": ("stop.yaml", "seeds=[0] data.world.seed=31 data.train_queries=500 data.test_queries=120 beam.queries=40"),
    "recorded": (
        "predecessor/scheme6.yaml",
        "seeds=[0] data.world.seed=32 data.train_queries=240 data.test_queries=120 beam.queries=60 "
        "rce.queries_per_step=4 grpo.epochs=10 grpo.steps_per_epoch=0 grpo.queries_per_step=4",
    ),
    "two_seeds": (
        "grpo.yaml",
        "seeds=[0,1] data.world.seed=33 data.train_queries=250 data.test_queries=100 beam.queries=40 "
        "supervised.epochs=6 grpo.epochs=5 grpo.steps_per_epoch=6 grpo.queries_per_step=16",
    ),
    "unseen": (
        "grpo.yaml",
        "seeds=[0] data.world.seed=41 data.train_queries=400 data.test_queries=150 beam.queries=50 "
        "grpo.epochs=10 grpo.num_generations=6 grpo.queries_per_step=20",
    ),
    "unseen_stop": (
        "stop.yaml",
        "seeds=[1] data.world.seed=42 data.train_queries=300 data.test_queries=150 beam.queries=50 pools.size=48 "
        "grpo.epochs=12 grpo.steps_per_epoch=6",
    ),
}
"""Recipe and changes, SMALL and SHORT before them but for the demo."""
LIKE = "demo"
PILOT = 120


def main() -> None:
    """Run what is not done yet, then print how far the plans are from it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(CHECKED), default=list(CHECKED))
    parser.add_argument("--out", type=Path, default=Path("runs/planned"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    runs = {name: _run(options.out / name, *_changed(name)) for name in options.only}
    figures = compare(runs)
    if options.json:
        bounded = all(error >= 0 for name, error in figures.items() if "at most" in name)
        sys.stdout.write(json.dumps({"figures": figures, "equal": bounded}) + "\n")
        return
    for name, error in figures.items():
        sys.stdout.write(f"{name:40s} {error:+8.1%}\n")


def compare(runs: dict[str, Run]) -> dict[str, float]:
    """Relative errors by name."""
    figures: dict[str, float] = {}
    like = None
    if LIKE in runs:
        recipe = runs[LIKE].recipe
        like = measured_in(runs[LIKE], bounds(recipe, read_sizes(recipe)))
    for name, run in runs.items():
        figures |= _errors(f"{name} at most", run, None)
        figures |= _errors(f"{name} after a pilot", run, run_pilot(run.recipe, PILOT, read_sizes(run.recipe), Silent()))
        if like is not None and name != LIKE:
            figures |= _errors(f"{name} like {LIKE}", run, like)
    return figures


def _errors(name: str, run: Run, measured: Measured | None) -> dict[str, float]:
    plan = make_plan(run.recipe, read_sizes(run.recipe), measured)
    real = {row["name"]: float(row["vlm_calls"]) for row in run.stages() if row["vlm_calls"]}
    found = {}
    for stage, calls in {**real, "all": sum(real.values())}.items():
        planned = plan.total(None if stage == "all" else stage)
        figure = planned.most.calls if planned.expected is None else planned.expected.calls
        assert figure is not None
        found[f"{name}: {stage} calls"] = (figure - calls) / calls
    return found


def _changed(name: str) -> tuple[str, list[str]]:
    file, changes = CHECKED[name]
    return file, [*SMALL, *SHORT, *changes.split()] if changes else []


def _run(folder: Path, recipe_file: str, overrides: Sequence[str]) -> Run:
    recipe = load_recipe(RECIPES / recipe_file, [f"name={folder.name}", *overrides])
    run = Run.create(folder, recipe)
    with run.lock(), listening(quiet=False) as progress:
        experiment.run(recipe, run, progress)
    return run


if __name__ == "__main__":
    main()
