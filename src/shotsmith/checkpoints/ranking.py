"""Which epochs are best, read from their rows of metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal, TypeVar

from shotsmith.errors import InputError
from shotsmith.runs import PHASES, Phase

By = Literal["val_reward", "val_loss"]
Row = TypeVar("Row", bound=Mapping[str, object])


def rank(rows: Iterable[Row], by: By = "val_reward", top: int = 10) -> list[Row]:
    """The `top` best rows, best first: the highest val_reward, or the lowest val_loss (which may be negative).

    Equals are ordered by phase, then by epoch, the earlier first. Rows without the value are left out.
    """
    sign = -1.0 if by == "val_reward" else 1.0
    scored = [(sign * value, row) for row in rows if (value := _number(row.get(by))) is not None]
    return [row for _, row in sorted(scored, key=lambda pair: (pair[0], _time(pair[1])))][:top]


def best_checkpoint(rows: Iterable[Row], seed: int, phase: Phase, by: By | Literal["last"] = "val_reward") -> Row:
    """The row of the epoch to go on with: best by the figure named, else by the other, else the last.

    Raises InputError where the phase has no epoch.
    """
    epochs = [row for row in rows if (row["seed"], row["phase"]) == (seed, phase)]
    if not epochs:
        raise InputError(f"seed {seed} has no epoch of phase '{phase}'")
    best: list[Row] = []
    if by != "last":
        best = rank(epochs, by, 1) or rank(epochs, "val_loss" if by == "val_reward" else "val_reward", 1)
    return best[0] if best else max(epochs, key=_time)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _time(row: Mapping[str, object]) -> tuple[int, int]:
    phase, epoch = row["phase"], row["epoch"]
    return PHASES.index(phase) if phase in PHASES else len(PHASES), epoch if isinstance(epoch, int) else 0
