"""10,000 faulty recipes, stores and tables: each must be read or refused with its name, in under 2 s of the processor.

    python benchmarks/fuzz_inputs.py [--variants 2000] [--seed 0] [--json]

`variants` are of each of the five kinds. `equal` says that every error named its file and none took longer than that.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fuzzed_inputs import KINDS, LIMIT_SECONDS, Outcome, fuzz


def main() -> None:
    """Print what became of every kind's variants, or with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.variants)
    outcomes: dict[str, Outcome] = {}
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            outcomes[kind] = outcome = fuzz(kind, seeds, Path(folder))
        if not options.json:
            print(f"{kind:12}{outcome.errors:6} refused{outcome.read:6} read, slowest {outcome.slowest:.3f} s of CPU")
            for told in outcome.unexplained[:5]:
                print(f"  names no file: {told}")
    names = ("errors", "read", "slowest")
    figures = {f"{kind}_{name}": getattr(outcome, name) for kind, outcome in outcomes.items() for name in names}
    figures |= {f"{kind}_unexplained": len(outcome.unexplained) for kind, outcome in outcomes.items()}
    fine = all(not outcome.unexplained and outcome.slowest < LIMIT_SECONDS for outcome in outcomes.values())
    if options.json:
        print(json.dumps({"figures": figures, "equal": fine}))


if __name__ == "__main__":
    main()
