"""2,000 damaged variants of a file of every format: each must be read or refused with its name, in under 2 seconds."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from compat.formats import EVERY_FORMAT
from compat.fuzzing import LIMIT_SECONDS, Outcome, fuzz


def main() -> None:
    """Print what became of every format's variants, or with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.variants)
    outcomes: dict[str, Outcome] = {}
    for name in EVERY_FORMAT:
        with tempfile.TemporaryDirectory() as folder:
            outcomes[name] = outcome = fuzz(name, seeds, Path(folder))
        if not options.json:
            print(f"{name[:44]:46}{outcome.errors:6} refused{outcome.read:6} read, slowest {outcome.slowest:.3f} s")
    figures = {f"{name}_{key}": value for name, outcome in outcomes.items() for key, value in vars(outcome).items()}
    figures["slowest"] = max(outcome.slowest for outcome in outcomes.values())
    figures["variants"] = sum(outcome.errors + outcome.read for outcome in outcomes.values())
    if options.json:
        print(json.dumps({"figures": figures, "equal": figures["slowest"] < LIMIT_SECONDS}))


if __name__ == "__main__":
    main()
