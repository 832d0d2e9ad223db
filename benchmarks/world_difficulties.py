"""What each difficulty of the built-in world does: the demo, with one of them switched off at a time.

    python benchmarks/world_difficulties.py [--only NAME ...] [--recipe recipes/demo.yaml] [--parallel 7] [--threads 4]
                                            [--out runs/difficulties] [--json]

Prints the table of docs/world.md: official VQA accuracy in percent on test queries, mean over 1-4 shots, of the best
free selector over the whole bank (chosen on validation queries), the trained selector and the oracle. A world's figures
are printed, and written to OUT/rows.jsonl, as soon as its run is done. `equal` says that no chosen epoch is below its
start on validation queries. Resumable.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bank_runs import RECIPES, Figures, Job, flat, headlines, parser, tell

from shotsmith.recipe import load_recipe

OFF: Mapping[str, Sequence[str]] = {
    "default": (),
    "artefacts-few": ("data.world.artefacts=few",),
    "direct_answers-true": ("data.world.direct_answers=true",),
    "careless_sources-0": ("data.world.careless_sources=0",),
    "near_duplicates-0": ("data.world.near_duplicates=0",),
    "changing_keepers-false": ("data.world.changing_keepers=false",),
}
FIRST = "preset-first"


def main() -> None:
    """Run what is not done yet, then print the table."""
    made = parser(__doc__, "runs/difficulties")
    made.add_argument("--only", nargs="+", choices=(*OFF, FIRST), default=(*OFF, FIRST))
    made.add_argument("--recipe", type=Path, default=RECIPES / "demo.yaml")
    options = made.parse_args()
    worlds = {**OFF, FIRST: _first(options)}
    jobs = [Job(name, options.recipe, [f"name={name}", *worlds[name]]) for name in options.only]
    rows, equal = headlines(jobs, options)
    print(table(rows))
    tell(flat(rows), equal, options)


def _first(options: argparse.Namespace) -> list[str]:
    """The world of the first version, with as many examples to show as the recipe's bank holds."""
    world = load_recipe(options.recipe, options.set).data.world
    if world is None:
        raise SystemExit(f"{options.recipe} has no data.world")
    sizes = {"seed": world.seed, "train": world.bank or world.train, "val": world.val, "test": world.test}
    return [f"data.world={json.dumps({'preset': 'first'} | sizes)}"]


def table(rows: Mapping[str, Figures]) -> str:
    """In Markdown, a world a line."""
    lines = ["| world | best free selector (whole bank) | trained selector | oracle |", "|---|---|---|---|"]
    for name, row in rows.items():
        world = name if name == "default" else "`{}: {}`".format(*name.split("-", 1))
        lines.append(f"| {world} | {row['best_free']:.1f} | {row['trained']:.1f} | {row['oracle']:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
