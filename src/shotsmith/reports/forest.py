"""Differences with their intervals around zero: what the interval holds is told by mark and words, not by colour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shotsmith.reports.charts import nice_ticks
from shotsmith.reports.facts import Row
from shotsmith.reports.language import Language
from shotsmith.reports.numbers import p_value


@dataclass(frozen=True, slots=True)
class Branch:
    """One difference; positions are percentages of the plot's width."""

    name: str
    text: str
    p: str
    """As 'p < 0.001'; empty where it is not known."""
    verdict: str
    sign: str
    """above, below or open: where the interval lies to 0."""
    at: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Forest:
    """Differences on one scale, and the scale."""

    caption: str
    branches: tuple[Branch, ...]
    zero: float
    ticks: tuple[tuple[float, str], ...]


def forest(rows: Iterable[tuple[str, Row]], caption: str, language: Language) -> Forest | None:
    """One branch per (name, row with difference, low and high in points); None where there is no row."""
    known = list(rows)
    if not known:
        return None
    ends = [row[key] for _, row in known for key in ("low", "high")]
    ticks = nice_ticks(min(0.0, *ends), max(0.0, *ends))
    low, span = ticks[0], ticks[-1] - ticks[0]

    def place(value: float) -> float:
        return 100 * (value - low) / span

    branches = tuple(
        Branch(
            name=name,
            text=f"{row['difference']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}]",
            p=_p(row),
            verdict=language.say(f"contrasts.chart.{_sign(row)}"),
            sign=_sign(row),
            at=place(row["difference"]),
            low=place(row["low"]),
            high=place(row["high"]),
        )
        for name, row in known
    )
    return Forest(caption, branches, place(0.0), tuple((place(tick), f"{tick:+g}" if tick else "0") for tick in ticks))


def _p(row: Row) -> str:
    if row.get("p") is None:
        return ""
    p = p_value(row["p"])
    return f"p {p}" if p.startswith("<") else f"p = {p}"


def _sign(row: Row) -> str:
    return "above" if row["low"] > 0 else "below" if row["high"] < 0 else "open"
