"""Recipes side by side on the same test queries: the predecessor's schemes, its policy variants, ours.

    python benchmarks/recipes.py schemes|policies [--only NAME ...] [--set KEY=VALUE ...] [--seeds 3] [--out FOLDER]

Runs share world, pools, beam data and completions; each is resumable. Accuracies are official VQA accuracy in percent,
averaged over shots 1-4 and seeds, on the test queries, with 95 % intervals; differences are paired by query.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from shotsmith import experiment
from shotsmith.cli.terminal import listening
from shotsmith.evaluation.accuracies import Accuracies, accuracies
from shotsmith.evaluation.results import Result, read_results
from shotsmith.experiment.adopt import adopt
from shotsmith.recipe import PRESETS, load_recipe
from shotsmith.runs import PHASES, Run
from shotsmith.statistics import Difference, mean_interval, paired_difference

RECIPES = Path(__file__).parents[1] / "recipes"
SCHEMES = ("scheme5", "scheme6", "scheme7", "scheme7.1", "scheme7.2", "scheme8", "scheme9", "scheme10")


def main() -> None:
    """Run what is not done yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("schemes", "policies"))
    parser.add_argument("--only", nargs="*", default=None, help="run these alone (the table shows all that are done)")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes for what is run now")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/compared"))
    parser.add_argument("--fill", type=Path, help="write the table into this page, between its markers")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    named = _schemes() if options.which == "schemes" else _policies()
    for name, (file, overrides) in named.items():
        if options.only is None or name in options.only:
            _run(options.out, name, file, [*overrides, f"seeds={list(range(options.seeds))}", *options.set])
    done = {name: run for name in named if (run := _done(options.out / name)) is not None}
    rows = table(done, "scheme6" if options.which == "schemes" else "v3")
    if options.fill is not None:
        fill(options.fill, f"<!-- {options.which} table -->", markdown(rows))
    if options.json:
        figures = {f"{name}/{figure}": value for name, row in rows.items() for figure, value in row.items()}
        sys.stdout.write(json.dumps({"figures": figures, "equal": len(done) == len(named)}) + "\n")
        return
    for name, row in rows.items():
        sys.stdout.write(f"{name:12s} " + "  ".join(f"{key} {value:.2f}" for key, value in row.items()) + "\n")


def _schemes() -> dict[str, tuple[Path, list[str]]]:
    ours = {name: (RECIPES / f"{name}.yaml", list[str]()) for name in ("grpo", "stop")}
    return ours | {name: (RECIPES / "predecessor" / f"{name}.yaml", ["evaluation.oracle_tries=0"]) for name in SCHEMES}


def _policies() -> dict[str, tuple[Path, list[str]]]:
    """The variants under one training that suits all of them: the recommended one, shortened."""
    shortened = ["evaluation.oracle_tries=0", "grpo.epochs=6", "data.train_queries=2000"]
    file = RECIPES / "grpo.yaml"
    return {
        name: (file, [*shortened, f"policy={{preset: {name}, dropout: 0.1, projections: identity}}"])
        for name in PRESETS
        if name not in ("v2", "v4-1")  # the same network as v3
    }


def _run(out: Path, name: str, file: Path, overrides: Sequence[str]) -> None:
    recipe = load_recipe(file, [f"name={name}", f"store={out / 'completions.sqlite'}", *overrides])
    run = Run.create(out / name, recipe)
    with run.lock(), listening(quiet=False) as progress:
        for other in sorted(out.glob("*/recipe.yaml")):
            adopt(run, Run.open(other.parent))
        experiment.run(recipe, run, progress)


def _done(folder: Path) -> Run | None:
    run = Run.open(folder) if (folder / "recipe.yaml").exists() else None
    return run if run is not None and run.is_done("evaluate") else None


def table(runs: dict[str, Run], base: str) -> dict[str, dict[str, float]]:
    """For every run: accuracy of its last phase per number of shots and on the mean, and minus the base's mean."""
    found = {name: accuracies(_last_phase(run), "vqa_accuracy") for name, run in runs.items()}
    rows: dict[str, dict[str, float]] = {}
    for name, run in runs.items():
        (mean,) = found[name].scored(("last", "mean"))
        interval = mean_interval(mean)
        row = {
            f"@{shots}": float(found[name].scored(("last", shots))[0].mean()) for shots in run.recipe.evaluation.shots
        }
        row |= {"mean": interval.mean, "low": interval.low, "high": interval.high}
        if base in found and name != base:
            difference = _difference(found[name], found[base])
            row |= {
                "difference": difference.difference,
                "difference_low": difference.low,
                "difference_high": difference.high,
            }
        rows[name] = row | _shown(run) | signature(run)
    return rows


def markdown(rows: dict[str, dict[str, float]]) -> str:
    """The table as Markdown."""
    shots = [key for row in rows.values() for key in row if key.startswith("@")]
    columns = list(dict.fromkeys(shots))
    further = ("demonstrations", "adv_std", "kl_before_first_update", "last_beta", "best_epoch")
    head = ["recipe", *columns, "mean [95 %]", "difference [95 %]", *(name.replace("_", " ") for name in further)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, row in rows.items():
        cells = [name, *(f"{row[column]:.1f}" for column in columns), _interval(row, "mean", "low", "high", "")]
        cells.append(
            _interval(row, "difference", "difference_low", "difference_high", "+") if "difference" in row else ""
        )
        lines.append("| " + " | ".join(cells + [f"{row[key]:.3g}" if key in row else "" for key in further]) + " |")
    return "\n".join(lines)


def _interval(row: dict[str, float], value: str, low: str, high: str, sign: str) -> str:
    return f"{row[value]:{sign}.1f} [{row[low]:{sign}.1f}, {row[high]:{sign}.1f}]"


def fill(page: Path, marker: str, text: str) -> None:
    """Put `text` between `marker` and the end marker that follows it."""
    before, found, rest = page.read_text(encoding="utf-8").partition(marker)
    _, end, after = rest.partition("<!-- end -->")
    if not found or not end:
        raise SystemExit(f"{page} has no place for the table ({marker} ... <!-- end -->)")
    page.write_text(f"{before}{marker}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def _last_phase(run: Run) -> list[Result]:
    results = read_results(run.results)
    last = next(phase for phase in reversed(PHASES) if any(result.selector == phase for result in results))
    return [
        Result(**{**{field: getattr(result, field) for field in result.__slots__}, "selector": "last"})
        for result in results
        if result.selector == last
    ]


def _difference(ours: Accuracies, base: Accuracies) -> Difference:
    (a,), (b,) = ours.scored(("last", "mean")), base.scored(("last", "mean"))
    return paired_difference(a, b)


def _shown(run: Run) -> dict[str, float]:
    most = max(run.recipe.evaluation.shots)
    return {"demonstrations": fmean(len(result.sequence) for result in _last_phase(run) if result.shots == most)}


def signature(run: Run) -> dict[str, float]:
    """What the training looked like, mean over seeds: Adv Std, KL before the first update, last beta, best epoch."""
    rows = [row for row in run.epochs() if row["phase"] == "grpo"]
    if not rows:
        return {}
    by = run.recipe.grpo.best_by
    figure, best = ("val_reward", max) if by == "val_reward" else ("val_loss", min)
    seeds = {row["seed"] for row in rows}
    of_seed = {seed: [row for row in rows if row["seed"] == seed] for seed in seeds}
    return {
        "adv_std": fmean(row["adv_std"] for row in rows if "adv_std" in row),
        "kl_before_first_update": fmean(of_seed[seed][0]["kl_before_first_update"] for seed in seeds),
        "last_beta": fmean(of_seed[seed][-1]["beta"] for seed in seeds),
        "best_epoch": fmean(best(of_seed[seed], key=lambda row: row[figure])["epoch"] for seed in seeds),
    }


if __name__ == "__main__":
    main()
