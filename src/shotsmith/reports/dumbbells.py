"""Two accuracies a row, joined by a line: the best free selector and the trained policy, by kind of question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shotsmith.reports.charts import nice_ticks
from shotsmith.reports.data import Kind
from shotsmith.reports.language import Language
from shotsmith.reports.tables import interval_text


@dataclass(frozen=True, slots=True)
class Dumbbell:
    """One kind of question; positions are percentages of the plot's width."""

    name: str
    queries: str
    text: str
    difference: str
    free: float
    trained: float


@dataclass(frozen=True, slots=True)
class Dumbbells:
    """Kinds of question on one scale, and the scale."""

    rows: tuple[Dumbbell, ...]
    ticks: tuple[tuple[float, str], ...]


def dumbbells(kinds: Sequence[Kind], language: Language) -> Dumbbells | None:
    """One row per kind; None where there is none."""
    if not kinds:
        return None
    values = [value for kind in kinds for value in (kind.free, kind.trained)]
    ticks = nice_ticks(min(0.0, *values), max(values))
    low, span = ticks[0], ticks[-1] - ticks[0]

    def place(value: float) -> float:
        return 100 * (value - low) / span

    rows = tuple(
        Dumbbell(
            name=kind.name,
            queries=language.say("kinds.queries", n=kind.n),
            text=f"{kind.free:.1f} → {kind.trained:.1f}",
            difference=f"{kind.difference:+.1f}{interval_text(kind)}",
            free=place(kind.free),
            trained=place(kind.trained),
        )
        for kind in kinds
    )
    return Dumbbells(rows, tuple((place(tick), f"{tick:g}") for tick in ticks))
