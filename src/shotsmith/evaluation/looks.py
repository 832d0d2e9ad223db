"""Every time the test queries were looked at: a figure chosen among several looks is no longer a fair one.

A look is a set of checkpoints evaluated on a set of test queries. Evaluating the same weights on the same queries
again, because it was interrupted or to have the tables anew, tells nothing new and is the same look.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from shotsmith.checkpoints.native import Manifest
from shotsmith.environment import environment
from shotsmith.files import Row, append_row, digest
from shotsmith.recipe import dump_recipe
from shotsmith.runs import Run


def record_look(run: Run, queries: Iterable[int], entered: Iterable[Manifest]) -> bool:
    """Note, durably and before any answer is seen, that these checkpoints are evaluated on these queries (ids).

    Returns whether this is a new look. Rows have `time` (UTC), `version`, `commit`, `recipe` and `queries` (digests)
    and the `checkpoints` entered: seed, phase, epoch and the digest of the weights.
    """
    look: Row = {
        "queries": digest(*(str(number) for number in sorted(queries))),
        "checkpoints": sorted(
            ({"seed": m.seed, "phase": m.phase, "epoch": m.epoch, "weights": m.weights} for m in entered),
            key=lambda checkpoint: (checkpoint["seed"], checkpoint["phase"]),
        ),
    }
    if any(look == {key: row[key] for key in look} for row in run.evaluations()):
        return False
    here = environment()
    when = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": here["versions"]["shotsmith"],
        "commit": here["git_commit"],
        "recipe": digest(dump_recipe(run.recipe)),
    }
    append_row(run.evaluations_file, when | look)
    return True
