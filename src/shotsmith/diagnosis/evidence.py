"""What a diagnosis is made from. Everything may be missing; a detector says nothing where its figures are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, TypeGuard

from shotsmith.evaluation.results import Result
from shotsmith.files import Row
from shotsmith.runs import PHASES


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything known of one run."""

    name: str
    epochs: tuple[Row, ...] = ()
    """Rows of figures as `shotsmith.runs.show` gives them; of the columns only seed, phase and epoch must be there."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """The resolved recipe as 'section.key': value, as far as it is known."""
    results: tuple[Result, ...] = ()
    """The evaluation, one row per query, shots, selector and seed."""
    pools: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Dataset ids of the candidates of each test query, by query id."""
    best_free: str | None = None
    """The free selector that is best on validation queries, where these were asked."""
    sole_completion: tuple[str, int] | None = None
    """The one text that all completions of the run hold, and how many they are; None where there are several."""
    outcome: Mapping[str, Any] | None = None
    """The contrast of the most trained policy minus the best free selector, mean over the numbers of shots."""
    evaluations: int = 0
    """How many different sets of checkpoints have been evaluated on test queries."""
    against: Evidence | None = None
    """Another run to compare with."""

    @property
    def trained(self) -> str | None:
        """The most trained selector that was tested."""
        there = {result.selector for result in self.results}
        return next((name for name in reversed(PHASES) if name in there), None)

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases that have rows, in the order of training."""
        there = {row["phase"] for row in self.epochs}
        return tuple(phase for phase in PHASES if phase in there)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that have rows."""
        return tuple(sorted({row["seed"] for row in self.epochs}))

    def curve(self, column: str, phase: str = "grpo", seed: int | None = None) -> Curve:
        """A figure over the epochs of a phase: of one seed, or the mean over all seeds where all have it."""
        seeds = self.seeds if seed is None else (seed,)
        by_epoch: dict[int, dict[int, float]] = {}
        for row in self.epochs:
            value = row.get(column)
            if row["phase"] == phase and row["seed"] in seeds and _is_number(value):
                by_epoch.setdefault(row["epoch"], {})[row["seed"]] = float(value)
        counted = {seed for values in by_epoch.values() for seed in values}
        return Curve(
            tuple(
                (epoch, fmean(values.values()))
                for epoch, values in sorted(by_epoch.items())
                if values.keys() == counted
            )
        )

    def setting(self, key: str) -> object:
        """A setting of the recipe; None where it is not known."""
        return self.settings.get(key)

    def number(self, key: str) -> float | None:
        """A setting that is a number; None where it is not known, or is none."""
        value = self.settings.get(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Curve:
    """One figure over epochs. False where there is no epoch."""

    points: tuple[tuple[int, float], ...]
    """(epoch, value), by epoch."""

    def __bool__(self) -> bool:
        return bool(self.points)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs."""
        return tuple(epoch for epoch, _ in self.points)

    @property
    def values(self) -> tuple[float, ...]:
        """The values."""
        return tuple(value for _, value in self.points)

    @property
    def mean(self) -> float:
        """Over the epochs."""
        return fmean(self.values)

    @property
    def lowest(self) -> tuple[int, float]:
        """(epoch, value); the earliest among equals."""
        return min(self.points, key=lambda point: point[1])

    @property
    def highest(self) -> tuple[int, float]:
        """(epoch, value); the earliest among equals."""
        return max(self.points, key=lambda point: point[1])

    def after(self, epoch: int) -> Curve:
        """The part behind an epoch."""
        return Curve(tuple(point for point in self.points if point[0] > epoch))

    def at(self, epoch: int) -> float | None:
        """The value of an epoch."""
        return dict(self.points).get(epoch)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
