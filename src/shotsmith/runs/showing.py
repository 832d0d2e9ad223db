"""What `shotsmith show` prints of a run: one object of plain values with stable keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from shotsmith.attempts import stopped
from shotsmith.files import Row, read_json
from shotsmith.runs.folder import EPOCH_KEYS, PHASES, Run

COLUMNS: dict[str, tuple[str, ...]] = {
    "train_loss": ("loss",),
    "val_loss": ("val/loss",),
    "ppo_loss": (),
    "kl": (),
    "adv_std": (),
    "adv_max": (),
    "beta": (),
    "reward": (),
    "frac_reward_zero_std": (),
    "entropy": (),
    "val_reward": ("val/reward",),
}
"""The columns every epoch row of `show` has (null where a phase has no such figure), and their other names."""

CRITERIA: tuple[Literal["val_reward", "val_loss"], ...] = ("val_reward", "val_loss")
"""What epochs are ranked by."""


def show(run: Run) -> dict[str, Any]:
    """Everything a script may want to know of a run; the stable form printed by `shotsmith show RUN --json`."""
    epochs = [columns(row) for row in run.epochs()]
    summary = read_json(run.summary) if run.summary.exists() else {}
    return {
        "run": str(run.folder),
        "status": (status := run.status()),
        "stopped": stopped(run.folder, run.stages()) if status == "stopped" else None,
        "recipe": run.recipe.model_dump(mode="json"),
        "stages": run.stages(),
        "epochs": epochs,
        "best": {criterion: _best(epochs, criterion) for criterion in CRITERIA},
        "test": summary.get("test", []),
        "contrasts": summary.get("contrasts", []),
        "evaluations": run.evaluations(),
        "best_free": summary.get("best_free"),
        "validation": summary.get("validation", []),
        "recall": summary.get("recall", []),
        "copying": summary.get("copying", []),
        "sole_answer": summary.get("sole_answer"),
        "nothing_right": summary.get("nothing_right", False),
        "barred": read_json(run.barred) if run.barred.exists() else {},
    }


def columns(row: Row) -> Row:
    """The row with the stable columns first after seed, phase and epoch; every other figure follows."""
    known: Row = {key: row[key] for key in EPOCH_KEYS}
    for column, others in COLUMNS.items():
        known[column] = next((row[name] for name in (column, *others) if name in row), None)
    return known | {key: value for key, value in row.items() if key not in known}


def _best(epochs: Sequence[Row], column: Literal["val_reward", "val_loss"]) -> Row | None:
    """The row with the highest val_reward or the lowest val_loss; of equals the one trained first."""
    sign = -1 if column == "val_reward" else 1
    scored = [row for row in epochs if isinstance(row[column], int | float)]
    return min(scored, key=lambda row: (sign * row[column], PHASES.index(row["phase"]), row["epoch"]), default=None)
