"""Collect the evidence for a diagnosis from a run folder or a training log.

Every field of `Evidence` may be empty: a detector returns nothing where the values it needs are missing. Reading
evidence loads no VLM, no policy and no image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, TypeGuard

from safetensors.numpy import load_file
from scipy import stats

from shotsmith.completions.summary import sole_text_of
from shotsmith.data.load import load_splits
from shotsmith.data.splits import choose_queries
from shotsmith.errors import DataError, InputError
from shotsmith.evaluation.contrasts import contrast_of
from shotsmith.evaluation.results import Result, read_results
from shotsmith.files import Row
from shotsmith.plugins import Table
from shotsmith.runs import PHASES, Run, show
from shotsmith.runs.folder import flat

MIN_SLOPE_EPOCHS = 4
"""The fewest epochs to fit a line to; with fewer, the confidence interval of its slope is too wide to be useful."""
CONFIDENCE = 0.95
"""Confidence level of the interval of a slope."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All measurements of one run that detectors read."""

    name: str
    epochs: tuple[Row, ...] = ()
    """Epoch rows as returned by `shotsmith.runs.show`; only the columns seed, phase and epoch are required."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """The known settings of the resolved recipe, as 'section.key': value."""
    results: tuple[Result, ...] = ()
    """The results on test queries, one row per query, number of shots, selector and seed."""
    pools: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Query id -> dataset ids of the candidates in the pool of this test query, in order."""
    best_free: str | None = None
    """The free selector that is best on validation queries; None where no validation results exist."""
    sole_completion: tuple[str, int] | None = None
    """The text shared by all completions of the run and their number; None where the texts differ."""
    outcome: Mapping[str, Any] | None = None
    """The contrast of the most trained policy minus the best free selector, averaged over the numbers of shots."""
    evaluations: int = 0
    """How many different sets of checkpoints were evaluated on test queries."""
    against: Evidence | None = None
    """Evidence of a second run to compare with."""

    @property
    def trained(self) -> str | None:
        """The most trained selector among the test results."""
        tested = {result.selector for result in self.results}
        return next((name for name in reversed(PHASES) if name in tested), None)

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases that have epoch rows, in training order."""
        recorded = {row["phase"] for row in self.epochs}
        return tuple(phase for phase in PHASES if phase in recorded)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that have epoch rows, in ascending order."""
        return tuple(sorted({row["seed"] for row in self.epochs}))

    def curve(self, column: str, phase: str = "grpo", seed: int | None = None) -> Curve:
        """Return a column over the epochs of a phase, for one seed or averaged over all seeds.

        The average leaves out epochs in which one of the seeds that have the column lacks a value.
        """
        seeds = self.seeds if seed is None else (seed,)
        by_epoch: dict[int, dict[int, float]] = {}
        for row in self.epochs:
            value = row.get(column)
            if row["phase"] == phase and row["seed"] in seeds and _is_number(value):
                by_epoch.setdefault(row["epoch"], {})[row["seed"]] = float(value)
        measured_seeds = {seed for values in by_epoch.values() for seed in values}
        return Curve(
            tuple(
                (epoch, fmean(values.values()))
                for epoch, values in sorted(by_epoch.items())
                if values.keys() == measured_seeds
            )
        )

    def setting(self, key: str) -> object:
        """Return a setting of the recipe, or None where it is unknown."""
        return self.settings.get(key)

    def number(self, key: str) -> float | None:
        """Return a numeric setting, or None where it is unknown or not a number."""
        value = self.settings.get(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Curve:
    """The values of one column over epochs. A curve without epochs is false."""

    points: tuple[tuple[int, float], ...]
    """Pairs (epoch, value), ordered by epoch."""

    def __bool__(self) -> bool:
        return bool(self.points)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs, in ascending order."""
        return tuple(epoch for epoch, _ in self.points)

    @property
    def values(self) -> tuple[float, ...]:
        """The values, ordered by epoch."""
        return tuple(value for _, value in self.points)

    @property
    def mean(self) -> float:
        """The mean value over the epochs."""
        return fmean(self.values)

    @property
    def lowest(self) -> tuple[int, float]:
        """The pair (epoch, value) with the lowest value; the earliest of several."""
        return min(self.points, key=lambda point: point[1])

    @property
    def highest(self) -> tuple[int, float]:
        """The pair (epoch, value) with the highest value; the earliest of several."""
        return max(self.points, key=lambda point: point[1])

    def after(self, epoch: int) -> Curve:
        """Return the part of the curve after an epoch."""
        return Curve(tuple(point for point in self.points if point[0] > epoch))

    def at(self, epoch: int) -> float | None:
        """Return the value at an epoch, or None where the epoch is not on the curve."""
        return dict(self.points).get(epoch)

    def slope(self) -> Slope | None:
        """Return the least-squares slope (scipy.stats.linregress); None with fewer than MIN_SLOPE_EPOCHS epochs."""
        if len(self) < MIN_SLOPE_EPOCHS:
            return None
        line = stats.linregress(self.epochs, self.values)
        margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(self) - 2)) * float(line.stderr)
        return Slope(float(line.slope), float(line.slope) - margin, float(line.slope) + margin)


@dataclass(frozen=True, slots=True)
class Slope:
    """Change of a value per epoch with its confidence interval.

    The interval (Student's t) takes residuals as independent; correlated neighbouring epochs make it too narrow.
    """

    per_epoch: float
    low: float
    high: float


LOGS: Table[Callable[[Path, Evidence | None], Evidence]] = Table("shotsmith.logs")
"""Readers of training logs, by the program that writes them. A reader raises InputError for a file it cannot read."""


def evidence_of(path: Path, against: Path | None = None) -> Evidence:
    """Read the evidence of a run folder or a training log, and of a second one in `against`. Raises InputError."""
    other = None if against is None else evidence_of(against)
    return evidence_of_run(Run.open(path), other) if path.is_dir() else _evidence_of_log(path, other)


def evidence_of_run(run: Run, against: Evidence | None = None) -> Evidence:
    """Read what a run folder holds so far. Raises InputError or DataError where a file is damaged."""
    results = tuple(read_results(run.results)) if run.results.exists() else ()
    shown = show(run)
    trained = next((name for name in reversed(PHASES) if any(row["selector"] == name for row in shown["test"])), None)
    best = (shown["best_free"] or {}).get("selector")
    return Evidence(
        name=run.folder.resolve().name,
        epochs=tuple(shown["epochs"]),
        settings=flat(shown["recipe"]),
        results=results,
        pools=_read_pools(run) if results and run.pools("test").exists() else {},
        best_free=best,
        sole_completion=None if results else sole_text_of(run),
        outcome=None if trained is None else contrast_of(shown["contrasts"], trained, best),
        evaluations=len(run.evaluations()),
        against=against,
    )


def _evidence_of_log(path: Path, against: Evidence | None) -> Evidence:
    """Return the evidence of the first reader that can read the log, or raise the error of the last reader."""
    problem = InputError("is not a run folder, and no reader of training logs is installed", file=path)
    for reader in LOGS.values():
        try:
            return reader(path, against)
        except InputError as error:
            problem = error
    raise problem


def _read_pools(run: Run) -> dict[int, tuple[int, ...]]:
    """Return the dataset ids in the pool of each test query; empty where queries retrieve from the whole bank."""
    if run.recipe.pools is None:
        return {}
    data = run.recipe.data
    splits = load_splits(data, run.world, check=False, skipped=run.skipped, image_ids=run.image_ids)
    chosen = choose_queries(splits.test, data.test_queries, data.seed)
    pools = load_file(run.pools("test"))["pools"].tolist()
    if len(pools) != len(chosen):
        raise DataError(f"holds {len(pools)} pools for {len(chosen)} queries", file=run.pools("test"))
    return {
        splits.test[row].id: tuple(splits.bank[place].id for place in pool)
        for row, pool in zip(chosen, pools, strict=True)
    }


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
