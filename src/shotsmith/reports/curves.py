"""The report's charts: which figures they draw, and what their marks say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from shotsmith.evaluation.controls import control_of
from shotsmith.metrics.table import DEFAULT, METRICS
from shotsmith.reports.charts import MARKERS, Band, Point, Series, bar_chart, line_chart
from shotsmith.reports.data import Pointing
from shotsmith.reports.facts import Facts, Row, Shots
from shotsmith.reports.language import Language
from shotsmith.reports.numbers import figure
from shotsmith.reports.tables import shots_heading
from shotsmith.runs import PHASES
from shotsmith.selectors.named import AT_BANK

CURVES = ("val_reward", "val_loss", "reward", "kl", "entropy", "adv_std", "frac_reward_zero_std", "ppo_loss")
WIDE, NARROW = 760.0, 350.0
_LEADING = 5
_BANDS = 8
_APART = 0.04
"""By how much of the gap between two numbers of shots the marks of leading selectors stand apart, so that their
intervals do not hide each other."""


@dataclass(frozen=True, slots=True)
class Chart:
    """An SVG and its caption."""

    caption: str
    svg: str


def learning_curves(facts: Facts, language: Language) -> list[Chart]:
    """One chart per figure over the epochs of all phases, one line per seed."""
    return [Chart(language.name(column), svg) for column in CURVES if (svg := _learning_curve(column, facts, language))]


def both_curves(this: Facts, other: Facts, names: tuple[str, str], language: Language) -> list[Chart]:
    """One chart per figure that the last phases of two runs share: the mean over the seeds of each."""
    columns = [column for column in CURVES if column in this.trends and column in other.trends]
    return [Chart(language.name(column), _both(column, (this, other), names, language)) for column in columns]


def accuracy_chart(facts: Facts, language: Language, width: float) -> str:
    """Accuracy over the number of shots, one line per selector.

    Intervals are drawn of the leading selectors; those of the others are in the titles of their marks.
    """
    numbers = [shots for shots in facts.shots if shots != "mean"]
    leading = [name for name in _drawn(facts) if not _style(name, facts)[1]]
    series = []
    for selector in _drawn(facts):
        style, faint = _style(selector, facts)
        shift = 0.0 if faint else (leading.index(selector) - (len(leading) - 1) / 2) * _APART
        points = tuple(
            _accuracy_point(selector, shots, cell, shift, language, with_interval=not faint)
            for shots in numbers
            if (cell := facts.test[selector].get(shots)) is not None
        )
        series.append(Series(language.name(selector), points, style, faint))
    narrow = width < 500
    return line_chart(
        series,
        name=language.say("test.chart"),
        width=width,
        height=340 if narrow else 390,
        x_ticks=[(float(shots), str(shots)) for shots in numbers],
        x_title=language.say("axis.shots"),
        y_title=accuracy_title(facts.metric or DEFAULT, language),
        label_width=102 if narrow else 150,
    )


def accuracy_title(metric: str, language: Language) -> str:
    """What the axis of accuracies measures, with its unit."""
    unit = {"percent": " (%)", "times_100": " × 100", "itself": ""}[METRICS[metric].unit]
    return f"{language.name(metric)}{unit}"


def pointing_chart(pointing: Pointing, language: Language) -> Chart:
    """Shares of the chosen demonstrations in bands of similarity ranks."""
    size, total = len(pointing.counts), sum(pointing.counts)
    edges = [round(size * band / min(_BANDS, size)) for band in range(min(_BANDS, size) + 1)]
    bars = []
    for low, high in pairwise(edges):
        count = sum(pointing.counts[low:high])
        share = 100 * count / total
        first, last = round(low * pointing.per_count) + 1, round(high * pointing.per_count)
        title = language.say("pointing.bar", low=first, high=last, count=count, share=share)
        bars.append((f"{first}-{last}", share, title))
    caption = language.say("pointing.chart", measure=pointing.measure)
    chance = 100 / len(bars)
    svg = bar_chart(
        bars,
        name=caption,
        width=NARROW,
        height=240,
        x_title=language.say("axis.rank", measure=pointing.measure),
        y_title=language.say("axis.share"),
        chance=chance,
        chance_name=language.say("pointing.chance"),
    )
    return Chart(caption, svg)


def _learning_curve(column: str, facts: Facts, language: Language) -> str:
    rows = [row for row in facts.shown["epochs"] if isinstance(row[column], int | float)]
    bands, starts = _phase_bands(rows, language)
    seeds = sorted({row["seed"] for row in rows})
    best = next(iter(facts.best.get(column, ())), None)
    series = []
    for style, seed in enumerate(seeds):
        name = language.say("chart.seed", seed=seed)
        points = tuple(
            _epoch_point(row, column, starts[row["phase"]], name, row is best, language)
            for row in sorted(rows, key=lambda row: (starts[row["phase"]], row["epoch"]))
            if row["seed"] == seed
        )
        series.append(Series(name, points, style))
    return line_chart(
        series,
        name=language.name(column),
        width=NARROW,
        bands=bands if len(bands) > 1 else (),
        x_title=language.say("axis.epoch"),
        y_title=language.say(f"axis.{column}"),
        label_width=46 if len(seeds) > 1 else 0,
    )


def _both(column: str, runs: tuple[Facts, Facts], names: tuple[str, str], language: Language) -> str:
    series = [
        Series(
            name,
            tuple(
                Point(epoch, value, language.say("chart.point", series=name, x=epoch, y=figure(value)))
                for epoch, value in run.trends[column].values
            ),
            style,
        )
        for style, (name, run) in enumerate(zip(names, runs, strict=True))
    ]
    title = language.say("against.chart", column=column)
    return line_chart(
        series,
        name=title,
        width=NARROW,
        x_title=language.say("axis.epoch"),
        y_title=language.say(f"axis.{column}"),
        label_width=70,
    )


def _phase_bands(rows: Sequence[Row], language: Language) -> tuple[list[Band], dict[str, int]]:
    """The phases side by side on one axis, and how far each is shifted."""
    bands: list[Band] = []
    starts: dict[str, int] = {}
    offset = 0
    for phase in PHASES:
        epochs = [row["epoch"] for row in rows if row["phase"] == phase]
        if epochs:
            starts[phase] = offset
            bands.append(Band(language.name(phase), offset + min(epochs), offset + max(epochs)))
            offset += max(epochs)
    return bands, starts


def _epoch_point(row: Row, column: str, start: int, series: str, strong: bool, language: Language) -> Point:
    name = f"{language.name(row['phase'])}, {series}"
    title = language.say("chart.point", series=name, x=row["epoch"], y=figure(row[column]))
    return Point(
        start + row["epoch"], row[column], f"{title}, {language.say('chart.best')}" if strong else title, strong=strong
    )


def _accuracy_point(
    selector: str, shots: Shots, cell: Row, shift: float, language: Language, *, with_interval: bool
) -> Point:
    interval = f"{cell['accuracy']:.1f} [{cell['low']:.1f}, {cell['high']:.1f}]"
    title = f"{language.name(selector)}, {shots_heading(shots, language)}: {interval}"
    low, high = (cell["low"], cell["high"]) if with_interval else (None, None)
    return Point(float(shots) + shift, cell["accuracy"], title, low=low, high=high)


def _drawn(facts: Facts) -> list[str]:
    """The selectors of the charts: reversed sequences are for the table of differences alone.

    Of what chooses from the whole bank beside pools, only the best free selector is drawn.
    """
    return [
        name
        for name in facts.test
        if not name.endswith("_reversed")
        and control_of(name) is None
        and (AT_BANK not in name or name == facts.best_free)
    ]


def _style(selector: str, facts: Facts) -> tuple[int, bool]:
    """Style of a selector, and whether it stays in the background."""
    leading = (facts.trained, "supervised", "rce", facts.best_free, "oracle")
    if selector in leading:
        return leading.index(selector), False
    others = [name for name in _drawn(facts) if name not in leading]
    return _LEADING + others.index(selector) % (len(MARKERS) - _LEADING), True
