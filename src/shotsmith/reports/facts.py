"""What follows from a run's figures: the tables, headroom and trends every part of the report speaks of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from shotsmith.checkpoints.ranking import rank
from shotsmith.evaluation.contrasts import contrast_of, sign_of
from shotsmith.evaluation.free import best_of
from shotsmith.runs import PHASES
from shotsmith.runs.folder import flat
from shotsmith.runs.showing import CRITERIA
from shotsmith.selectors.named import AT_BANK
from shotsmith.selectors.training_free import FREE

Row = Mapping[str, Any]
Shots = int | Literal["mean"]

SELECTORS = (
    *FREE,
    *(f"{name}{AT_BANK}" for name in FREE),
    *(name for phase in PHASES for name in (phase, f"{phase}{AT_BANK}")),
    *(f"{name}_reversed" for name in PHASES),
    *("beam", "oracle"),
)
"""Order of every table: without training, with training, and the bounds that look at the answers."""

TREND_COLUMNS = ("val_reward", "val_loss", "reward", "ppo_loss", "adv_std", "frac_reward_zero_std", "kl", "entropy")


@dataclass(frozen=True, slots=True)
class Trend:
    """One figure over the epochs of a phase, averaged over the seeds."""

    column: str
    values: tuple[tuple[int, float], ...]
    """(epoch, mean over seeds), by epoch."""

    @property
    def first(self) -> float:
        """At the first epoch."""
        return self.values[0][1]

    @property
    def last(self) -> float:
        """At the last epoch."""
        return self.values[-1][1]

    @property
    def lowest(self) -> tuple[int, float]:
        """(epoch, value); the earliest among equals."""
        return min(self.values, key=lambda pair: pair[1])

    @property
    def highest(self) -> tuple[int, float]:
        """(epoch, value); the earliest among equals."""
        return max(self.values, key=lambda pair: pair[1])

    @property
    def mean(self) -> float:
        """Over the epochs."""
        return fmean(value for _, value in self.values)

    @property
    def direction(self) -> Literal["rose", "fell", "level"]:
        """Level where first and last differ by less than a hundredth of the larger."""
        change = self.last - self.first
        if abs(change) < 0.01 * max(abs(self.first), abs(self.last)):
            return "level"
        return "rose" if change > 0 else "fell"


@dataclass(frozen=True, slots=True)
class PhaseProgress:
    """How far one phase of one seed has come."""

    seed: int
    phase: str
    done: int
    planned: int | None
    """None where the settings are not known."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Derived from `shotsmith.runs.show`; see `facts`."""

    shown: Row
    phases: tuple[PhaseProgress, ...]
    best: Mapping[str, tuple[Row, ...]]
    """By 'val_reward' and by 'val_loss': the ten best epochs, best first."""
    last_phase: str | None
    """The phase that went furthest (grpo, if it has begun)."""
    trends: Mapping[str, Trend]
    """Of that phase, by column."""
    metric: str | None
    """The metric the tables are in."""
    shots: tuple[Shots, ...]
    """Columns of the test table."""
    test: Mapping[str, Mapping[Shots, Row]]
    """Rows of the test table, in the order of SELECTORS; selectors and shots that were not measured are absent."""
    other_metrics: Mapping[str, Mapping[str, Mapping[Shots, Row]]]
    """The same for every further metric."""
    best_free: str | None
    """The free selector that is best on validation queries; in runs from before these were asked, on test queries."""
    best_free_shots: int | None
    """The number of shots at which it is best there."""

    @property
    def recipe(self) -> Row:
        """The resolved recipe, as plain values; empty where all there is is a training log."""
        recipe: Row = self.shown["recipe"]
        return recipe

    @property
    def settings(self) -> Row:
        """The settings as 'section.key': value, as far as they are known."""
        return flat(self.recipe) if self.recipe else self.shown.get("settings", {})

    @property
    def folder(self) -> str:
        """The run's folder."""
        return str(self.shown["run"])

    @property
    def name(self) -> str:
        """What the run is called; a training log is called what its file is."""
        return str(self.recipe.get("name") or Path(self.folder).stem)

    @property
    def is_log(self) -> bool:
        """Whether there is nothing but a table of epochs."""
        return not self.recipe

    @property
    def left_out(self) -> Mapping[str, str]:
        """Stages, phases and figures that the run does without, and why (a word)."""
        return left_out(self.shown["stages"])

    @property
    def unfinished(self) -> bool:
        """Whether planned epochs are missing."""
        return any(
            phase.planned is not None and phase.done < phase.planned and phase.phase not in self.left_out
            for phase in self.phases
        )

    @property
    def trained(self) -> str | None:
        """The most trained policy that was tested."""
        return next((name for name in reversed(PHASES) if name in self.test), None)

    @property
    def several_seeds(self) -> bool:
        """Whether rows of more than one seed are there."""
        return len({row["seed"] for row in self.shown["epochs"]}) > 1

    def accuracy(self, selector: str | None, shots: Shots = "mean") -> Row | None:
        """One cell of the test table."""
        return self.test.get(selector or "", {}).get(shots)

    def contrast(self, a: str | None, b: str | None, shots: Shots = "mean") -> Row | None:
        """The contrast of a minus b, also where the run noted it as b minus a."""
        return contrast_of(self.shown["contrasts"], a, b, shots)

    def recall_of(self, selector: str | None) -> Row | None:
        """Where a selector loses its points, mean over the numbers of shots (see evaluation.recall)."""
        rows: Iterable[Row] = self.shown.get("recall", ())
        return next((row for row in rows if (row["selector"], row["shots"]) == (selector, "mean")), None)

    @property
    def headroom(self) -> float | None:
        """Points from the best free selector to the oracle, mean over shots."""
        return self._gap("oracle", self.best_free)

    @property
    def gain(self) -> float | None:
        """Points from the best free selector to the trained policy, mean over shots."""
        return self._gap(self.trained, self.best_free)

    @property
    def sole_answer(self) -> str | None:
        """The answer that the VLM gave to every test query; None where it gave several, or that is not known."""
        answer: str | None = self.shown.get("sole_answer")
        return answer

    @property
    def nothing_right(self) -> bool:
        """Whether no answer of the VLM to a test query was right."""
        return bool(self.shown.get("nothing_right"))

    @property
    def is_better(self) -> bool:
        """Whether the test tells the trained policy above the best free selector."""
        contrast = self.contrast(self.trained, self.best_free)
        return contrast is not None and sign_of(contrast) == "better"

    def _gap(self, a: str | None, b: str | None) -> float | None:
        upper, lower = self.accuracy(a), self.accuracy(b)
        return None if upper is None or lower is None else float(upper["accuracy"] - lower["accuracy"])


def left_out(stages: Iterable[Row]) -> dict[str, str]:
    """What the stages of a run left out, and why (a word)."""
    return {name: why for stage in stages for name, why in stage.get("left_out", {}).items()}


def facts(shown: Row) -> Facts:
    """Compute everything from the dict that `shotsmith.runs.show` returns."""
    metrics = list(dict.fromkeys(row["metric"] for row in shown["test"]))
    tables = {metric: _table(row for row in shown["test"] if row["metric"] == metric) for metric in metrics}
    test = tables[metrics[0]] if metrics else {}
    epochs = shown["epochs"]
    last_phase = next((phase for phase in reversed(PHASES) if any(row["phase"] == phase for row in epochs)), None)
    in_phase = [row for row in epochs if row["phase"] == last_phase]
    trends = {column: trend for column in TREND_COLUMNS if (trend := _trend(column, in_phase))}
    measured = {shots for cells in test.values() for shots in cells}
    best = _best_free(shown, test)
    return Facts(
        shown=shown,
        phases=_phases(shown["recipe"], epochs),
        best={criterion: tuple(rank(epochs, criterion)) for criterion in CRITERIA},
        last_phase=last_phase,
        trends=trends,
        metric=metrics[0] if metrics else None,
        shots=tuple(sorted(measured, key=lambda shots: (shots == "mean", shots))),
        test=test,
        other_metrics={metric: tables[metric] for metric in metrics[1:]},
        best_free=best and best[0],
        best_free_shots=best and best[1],
    )


def _phases(recipe: Row, epochs: Sequence[Row]) -> tuple[PhaseProgress, ...]:
    done = Counter((row["seed"], row["phase"]) for row in epochs if row["epoch"] > 0)
    seeds = recipe["seeds"] if recipe else sorted({seed for seed, _ in done})
    planned = {phase: recipe[phase]["epochs"] if recipe else None for phase in PHASES}
    trained = [phase for phase in PHASES if planned[phase] or any(done[seed, phase] for seed in seeds)]
    return tuple(PhaseProgress(seed, phase, done[seed, phase], planned[phase]) for seed in seeds for phase in trained)


def _table(rows: Iterable[Row]) -> dict[str, dict[Shots, Row]]:
    cells: dict[str, dict[Shots, Row]] = {}
    for row in rows:
        cells.setdefault(row["selector"], {})[row["shots"]] = row
    order = [*(name for name in SELECTORS if name in cells), *sorted(set(cells) - set(SELECTORS))]
    return {name: cells[name] for name in order}


def _best_free(shown: Row, test: Mapping[str, Mapping[Shots, Row]]) -> tuple[str, int] | None:
    """The best free selector and its best number of shots."""
    if found := shown.get("best_free"):
        return found["selector"], found["best_shots"]
    return best_of({name: {shots: row["accuracy"] for shots, row in cells.items()} for name, cells in test.items()})


def _trend(column: str, rows: Sequence[Row]) -> Trend | None:
    by_epoch: dict[int, list[float]] = {}
    for row in rows:
        if isinstance(row[column], int | float):
            by_epoch.setdefault(row["epoch"], []).append(row[column])
    if not by_epoch:
        return None
    return Trend(column, tuple((epoch, fmean(by_epoch[epoch])) for epoch in sorted(by_epoch)))
