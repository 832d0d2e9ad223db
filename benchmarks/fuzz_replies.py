"""10,000 damaged replies of a server: each prompt must fail or be answered, and the prompts beside it be answered.

    python benchmarks/fuzz_replies.py [--replies 10000] [--seed 0] [--json]

`equal` says that nothing else was raised, no other answer was lost or changed, and none took longer than 2 seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from damaged_replies import fuzz

LIMIT_SECONDS = 2.0


def main() -> None:
    """Print what became of the replies, or with --json one object; anything but a clean outcome is raised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replies", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = fuzz(range(options.seed, options.seed + options.replies), Path(folder))
    if options.json:
        print(json.dumps({"figures": vars(outcome), "equal": outcome.slowest < LIMIT_SECONDS}))
        return
    print(f"{outcome.failures} prompts failed, {outcome.answers} were answered, {outcome.errors} servers were refused")
    print(f"slowest {outcome.slowest:.3f} s")


if __name__ == "__main__":
    main()
