"""Whether the memory of a run grows with its VLM calls: a small run, and the same with more epochs, on one bank.

Each is a command of its own; `equal` says that the epochs which both have are the same but for time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

RECIPE: dict[str, Any] = {
    "name": "memory",
    "data": {
        "world": {"seed": 0, "bank": 2000, "train": 600, "val": 100, "test": 40},
        **{"train_queries": 400, "val_queries": 30, "test_queries": 20},
    },
    "grpo": {"schedule": "constant", "steps_per_epoch": 10},
}


def main() -> None:
    """Print the high-water mark of both, their ratio, and how many VLM calls they made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4, help="of the small run; an epoch is some 2,500 VLM calls")
    parser.add_argument("--times", type=int, default=10, help="as many epochs in the long run")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        short = trained(Path(folder), arguments.epochs)
        long = trained(Path(folder), arguments.epochs * arguments.times)
    shared = min(len(run["epochs"]) for run in (short, long))
    equal = shared > arguments.epochs and figures(short)[:shared] == figures(long)[:shared]
    measured: dict[str, float] = {}
    for name, run in (("short", short), ("long", long)):
        (stage,) = [stage for stage in run["stages"] if stage["name"] == "train"]
        measured[f"{name}_mb"] = stage["peak_memory"] / 1e6
        measured[f"{name}_vlm_calls"] = stage["vlm_calls"]
        measured[f"{name}_seconds"] = stage["seconds"]
    measured["calls_ratio"] = measured["long_vlm_calls"] / measured["short_vlm_calls"]
    measured["memory_ratio"] = measured["long_mb"] / measured["short_mb"]
    if not arguments.json:
        for name, value in measured.items():
            sys.stdout.write(f"{name:20} {value:12,.2f}\n")
    sys.stdout.write(json.dumps({"figures": measured, "equal": equal}) + "\n")


def trained(folder: Path, epochs: int) -> dict[str, Any]:
    """What `show` tells of a run of so many epochs."""
    recipe, run = folder / "recipe.json", folder / f"run-{epochs}"
    recipe.write_text(json.dumps(RECIPE))
    command = [sys.executable, "-m", "shotsmith", "train", str(recipe), "--out", str(run), "--json", "--quiet"]
    command += ["--set", f"grpo.epochs={epochs}"]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    shown: dict[str, Any] = json.loads(told.stdout)
    return shown


def figures(run: dict[str, Any]) -> list[dict[str, Any]]:
    """All that the epochs of a run tell but time."""
    return [{name: value for name, value in row.items() if not name.startswith("time/")} for row in run["epochs"]]


if __name__ == "__main__":
    main()
