"""2,000 damaged variants of each kind of checkpoint: each must be a clear error, or the same policy, in under 2 s.

Seconds are those of the processor, so that what else runs on the machine does not count.

    python benchmarks/fuzz_checkpoints.py [--variants 2000] [--seed 0] [--json]

`equal` says that none ran code, none was read as another policy though only its bytes were damaged, every error named
its file, and none took longer than that.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from damaged_checkpoints import KINDS, LIMIT_SECONDS, Outcome, fuzz


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
            print(f"{kind:10}{outcome.errors:6} errors{outcome.read:6} read, slowest {outcome.slowest:.3f} s of CPU")
    figures = {
        f"{kind}_{name}": getattr(outcome, name)
        for kind, outcome in outcomes.items()
        for name in ("errors", "read", "changed", "code_run", "slowest")
    }
    figures |= {f"{kind}_unexplained": len(outcome.unexplained) for kind, outcome in outcomes.items()}
    fine = all(
        outcome.slowest < LIMIT_SECONDS and not (outcome.code_run or outcome.changed or outcome.unexplained)
        for outcome in outcomes.values()
    )
    if options.json:
        print(json.dumps({"figures": figures, "equal": fine}))


if __name__ == "__main__":
    main()
