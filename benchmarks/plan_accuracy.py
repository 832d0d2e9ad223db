"""How well `shotsmith plan` foretells what a run asks for: six recipes, planned, then run with the built-in VLM.

    python benchmarks/plan_accuracy.py [--only NAME ...] [--out runs/planned] [--json]

Figures are relative errors, (planned - real) / real: VLM calls of each stage and of all, prompt tokens, generated
tokens and the size of the store. `NAME after a pilot` is the plan that has seen a small evaluation (`--pilot 120`),
`NAME like demo` the one made with `--like` the demo's finished run. `equal` says that after a pilot every error is
within 10 %. About half an hour on one core; what is
done is kept, what was interrupted begins anew.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from shotsmith import experiment
from shotsmith.cli.terminal import listening
from shotsmith.completions.collect import Collector, PendingRequest
from shotsmith.experiment import parts
from shotsmith.files import read_json, write_json
from shotsmith.planning.lengths import Lengths
from shotsmith.planning.like import corrections_of
from shotsmith.planning.pilot import Pilot, run_pilot
from shotsmith.planning.plan import Plan, make_plan
from shotsmith.planning.sizes import Sizes, readable_splits, sampled_sizes
from shotsmith.progress import Silent
from shotsmith.recipe import Recipe, load_recipe
from shotsmith.records import Completion, Failure
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
"""Recipe and changes, SMALL and SHORT before them but for the demo. The constants of planning/behaviour.py follow the
first four, nothing follows the unseen ones."""
LIKE = "demo"
PILOT = 120
WITHIN = 0.1


def main() -> None:
    """Run what is not done yet, then print how far the plans are from it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(CHECKED), default=list(CHECKED))
    parser.add_argument("--out", type=Path, default=Path("runs/planned"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    runs = {name: _run(options.out / name, *_changed(name)) for name in options.only}
    figures, foretold = compare(runs)
    if options.json:
        sys.stdout.write(json.dumps({"figures": figures, "equal": all(abs(x) <= WITHIN for x in foretold)}) + "\n")
        return
    for name, error in figures.items():
        sys.stdout.write(f"{name:40s} {error:+8.1%}\n")


def compare(runs: dict[str, Run]) -> tuple[dict[str, float], list[float]]:
    """Relative errors by name, and those of the plans after a pilot, which know of no run."""
    sizes = {name: _sizes(run.recipe) for name, run in runs.items()}
    figures: dict[str, float] = {}
    foretold: dict[str, float] = {}
    for name, run in runs.items():
        real = measure(run)
        figures |= _errors(name, make_plan(run.recipe, sizes[name]), real)
        plan = make_plan(run.recipe, sizes[name], behaviour=_pilot(run.recipe).behaviour(run.recipe))
        foretold |= _errors(f"{name} after a pilot", plan, real)
    figures |= foretold
    if LIKE in runs:
        corrections = corrections_of(runs[LIKE], sizes[LIKE])
        for name in runs.keys() - {LIKE}:
            plan = make_plan(runs[name].recipe, sizes[name], corrections=corrections)
            figures |= _errors(f"{name} like {LIKE}", plan, measure(runs[name]))
    return figures, list(foretold.values())


def measure(run: Run) -> dict[str, float]:
    """What the run has really asked for and kept."""
    real = {f"{row['name']} calls": float(row["vlm_calls"]) for row in run.stages() if row["vlm_calls"]}
    real["calls"] = sum(real.values())
    counted = read_json(_counts_file(run))
    return real | {name: float(counted[name]) for name in ("prompt tokens", "generated tokens", "stored bytes")}


def _errors(name: str, plan: Plan, real: dict[str, float]) -> dict[str, float]:
    total = plan.total().expected
    planned = {f"{stage} calls": plan.total(stage).expected.calls for stage in ("beam", "train", "evaluate")}
    planned |= {
        "calls": total.calls,
        "prompt tokens": total.text_tokens + total.image_tokens,
        "generated tokens": total.generated_tokens,
        "stored bytes": sum(part.expected.stored_bytes for part in plan.parts if part.expected.calls),
    }
    return {f"{name}: {figure}": (planned[figure] - value) / value for figure, value in real.items()}


def _changed(name: str) -> tuple[str, list[str]]:
    file, changes = CHECKED[name]
    return file, [*SMALL, *SHORT, *changes.split()] if changes else []


def _sizes(recipe: Recipe) -> Sizes:
    with readable_splits(recipe) as splits:
        return sampled_sizes(recipe, splits)


def _pilot(recipe: Recipe) -> Pilot:
    return run_pilot(recipe, PILOT, Silent())


def _run(folder: Path, recipe_file: str, overrides: Sequence[str]) -> Run:
    recipe = load_recipe(RECIPES / recipe_file, [f"name={folder.name}", *overrides])
    run = Run.create(folder, recipe)
    if _counts_file(run).exists():
        return run
    run = Run.create(folder, recipe, fresh=True)
    Counting.counts, Counting.lengths = Counter(), Lengths(recipe.vlm)
    parts.Collector = Counting  # type: ignore[misc]
    with run.lock(), listening(quiet=False) as progress:
        experiment.run(recipe, run, progress)
    write_json(_counts_file(run), {**Counting.counts, "stored bytes": run.completions.stat().st_size})
    return run


def _counts_file(run: Run) -> Path:
    return run.folder / "counted.json"


class Counting(Collector):
    """Counts the tokens of what the VLM is asked."""

    counts: Counter[str]
    lengths: Lengths

    def _complete(self, batch: Sequence[PendingRequest], origin: str) -> dict[str, Failure]:
        failed = super()._complete(batch, origin)
        known: dict[str, Completion] = self.store.get_many(one.key for one in batch)
        for _, key, request in batch:
            self.counts["prompt tokens"] += self.vlm.length(request)
            text = known[key].text if request.text and key in known else None
            if text is not None:
                self.counts["generated tokens"] += self.lengths.answer(text)
        return failed


if __name__ == "__main__":
    main()
