"""Small charts as inline SVG: no script, no request, readable without colour.

Series differ in dash and marker as well as in colour and carry their names at their ends; every mark has a title that
appears under the pointer. Colours are left to the page: classes `s0` to `s8` for series, `axis`, `grid`, `band`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

MARKERS = (
    "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0Z",
    "M-3.2-3.2h6.4v6.4h-6.4Z",
    "M0-4.4L4 3H-4Z",
    "M0-4.6L4.2 0L0 4.6L-4.2 0Z",
    "M0 4.4L4-3H-4Z",
    "M-3.6-1.2h2.4v-2.4h2.4v2.4h2.4v2.4h-2.4v2.4h-2.4v-2.4h-2.4Z",
    "M-4.2-1.4h8.4v2.8h-8.4Z",
    "M-1.4-4.2h2.8v8.4h-2.8Z",
    "M-4-4L4 4V-4L-4 4Z",
)
DASHES = ("", "6 3", "2 3", "9 3 2 3", "1 4", "12 4", "4 2", "3 5", "14 3 3 3")

_LINE_HEIGHT = 13.0
_TOP, _BOTTOM, _LEFT = 30.0, 40.0, 46.0


@dataclass(frozen=True, slots=True)
class Point:
    """A mark, its interval if it has one, and what its title says."""

    x: float
    y: float
    title: str
    low: float | None = None
    high: float | None = None
    strong: bool = False
    """Ringed: the best of its series."""


@dataclass(frozen=True, slots=True)
class Series:
    """Points joined by a line, with a name at its end; `style` chooses colour, dash and marker."""

    name: str
    points: tuple[Point, ...]
    style: int = 0
    faint: bool = False
    """Drawn in the background."""


@dataclass(frozen=True, slots=True)
class Band:
    """A named stretch of the x axis."""

    name: str
    start: float
    end: float


def line_chart(
    series: Sequence[Series],
    *,
    name: str,
    width: float,
    height: float = 220,
    bands: Sequence[Band] = (),
    x_ticks: Sequence[tuple[float, str]] | None = None,
    x_title: str,
    y_title: str,
    label_width: float = 0,
) -> str:
    """Lines over x with a nice y axis. `name` is its accessible name; `label_width` is kept for names at the right."""
    points = [point for one in series for point in one.points]
    if not points:
        return ""
    y_ticks = nice_ticks(*_extent(value for p in points for value in (p.y, p.low, p.high) if value is not None))
    low_x, high_x = _extent(p.x for p in points)
    low_x, high_x = min([low_x, *(b.start for b in bands)]), max([high_x, *(b.end for b in bands)])
    ticks = x_ticks if x_ticks is not None else [(x, f"{x:g}") for x in whole_ticks(low_x, high_x)]
    right, bottom = width - 14 - label_width, height - _BOTTOM
    x_of = _scale(low_x, high_x, _LEFT + 8, right)
    y_of = _scale(y_ticks[0], y_ticks[-1], bottom, _TOP)
    parts = [*_bands(bands, x_of, bottom), *_axes(y_ticks, y_of, ticks, x_of, right, bottom)]
    parts += _titles(x_title, y_title, right, bottom)
    for one in sorted(series, key=lambda one: not one.faint):
        parts += _line(one, x_of, y_of)
    if label_width:
        parts += _end_labels(series, x_of, y_of, bottom)
    return _svg(parts, name, width, height)


def bar_chart(
    bars: Sequence[tuple[str, float, str]],
    *,
    name: str,
    width: float,
    height: float,
    x_title: str,
    y_title: str,
    chance: float,
    chance_name: str,
) -> str:
    """Bars (label, value, title) over a dashed line at `chance`."""
    y_ticks = nice_ticks(0.0, max(chance, *(value for _, value, _ in bars)))
    bottom, right = height - _BOTTOM, width - 14
    y_of = _scale(0.0, y_ticks[-1], bottom, _TOP)
    step = (right - _LEFT) / len(bars)
    places = [_LEFT + step * (place + 0.5) for place in range(len(bars))]
    ticks = [(place, label) for place, (label, _, _) in zip(places, bars, strict=True)]
    parts = _axes(y_ticks, y_of, ticks, lambda x: x, right, bottom)
    parts += _titles(x_title, y_title, right, bottom)
    for place, (_, value, title) in zip(places, bars, strict=True):
        top = y_of(value)
        shape = (
            f'x="{place - step * 0.38:.1f}" y="{top:.1f}" width="{step * 0.76:.1f}" height="{bottom - top:.1f}" rx="2"'
        )
        parts.append(f'<rect class="bar" {shape}><title>{escape(title)}</title></rect>')
    level = y_of(chance)
    parts.append(f'<path class="chance" d="M{_LEFT:.1f} {level:.1f}H{right:.1f}"/>')
    parts.append(
        f'<text class="label" x="{right:.1f}" y="{level - 5:.1f}" text-anchor="end">{escape(chance_name)}</text>'
    )
    return _svg(parts, name, width, height)


_LEVEL = 1e-5
"""Relative difference below which figures are the same."""


def nice_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers (steps of 1, 2, 2.5, 5 times a power of ten) that take in low and high.

    What differs by rounding alone is level, and shown as such.
    """
    if high - low <= _LEVEL * abs(high):
        margin = abs(high) * 0.1 or 1.0
        low, high = low - margin, high + margin
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def whole_ticks(low: float, high: float, at_most: int = 6) -> list[int]:
    """Evenly spaced whole numbers from low to high."""
    span = max(1, math.floor(high) - math.ceil(low))
    step = next(s * 10**p for p in range(9) for s in (1, 2, 5) if span / (s * 10**p) <= at_most - 1)
    first = math.ceil(low)
    start = first if step == 1 else math.ceil(low / step) * step
    return [first] * (start > first + step // 2) + list(range(start, math.floor(high) + 1, step))


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near the wanted ones, at least `gap` apart, within low and high where they all fit; order is kept."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = [max(low, wanted[i]) for i in order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    if places:
        places[-1] = min(places[-1], max(high, low + gap * (len(places) - 1)))
    for i in range(len(places) - 2, -1, -1):
        places[i] = min(places[i], places[i + 1] - gap)
    result = [0.0] * len(wanted)
    for place, i in zip(places, order, strict=True):
        result[i] = place
    return result


def _svg(parts: Iterable[str], name: str, width: float, height: float) -> str:
    box = f'viewBox="0 0 {width:g} {height:g}" style="max-width:{width * 1.25:g}px"'
    return f'<svg class="chart" role="img" aria-label="{escape(name)}" {box}>{"".join(parts)}</svg>'


def _axes(
    y_ticks: Sequence[float],
    y_of: Callable[[float], float],
    x_ticks: Sequence[tuple[float, str]],
    x_of: Callable[[float], float],
    right: float,
    bottom: float,
) -> list[str]:
    parts = []
    for value, text in zip(y_ticks, _tick_texts(y_ticks), strict=True):
        y = y_of(value)
        parts.append(f'<path class="grid" d="M{_LEFT:.1f} {y:.1f}H{right:.1f}"/>')
        parts.append(f'<text class="axis" x="{_LEFT - 7:.1f}" y="{y + 3.5:.1f}" text-anchor="end">{text}</text>')
    for value, text in x_ticks:
        parts.append(
            f'<text class="axis" x="{x_of(value):.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{escape(text)}</text>'
        )
    return parts


def _titles(x_title: str, y_title: str, right: float, bottom: float) -> list[str]:
    """What the axes measure: under the middle of the one, above the other."""
    middle = (_LEFT + right) / 2
    return [
        f'<text class="title" x="{middle:.1f}" y="{bottom + 34:.1f}" text-anchor="middle">{escape(x_title)}</text>',
        f'<text class="title" x="2" y="{_TOP - 16:.1f}">{escape(y_title)}</text>',
    ]


def _bands(bands: Sequence[Band], x_of: Callable[[float], float], bottom: float) -> list[str]:
    parts = []
    for place, band in enumerate(bands):
        left, right = x_of(band.start) - 4, x_of(band.end) + 4
        if place % 2 == 0:
            shape = f'x="{left:.1f}" y="{_TOP - 6:.1f}" width="{right - left:.1f}" height="{bottom - _TOP + 6:.1f}"'
            parts.append(f'<rect class="band" {shape}/>')
        height = bottom - 5 if place % 2 == 0 else _TOP + 3
        middle = (left + right) / 2
        parts.append(
            f'<text class="label" x="{middle:.1f}" y="{height:.1f}" text-anchor="middle">{escape(band.name)}</text>'
        )
    return parts


def _line(series: Series, x_of: Callable[[float], float], y_of: Callable[[float], float]) -> list[str]:
    places = [(x_of(point.x), y_of(point.y)) for point in series.points]
    css = f"s{series.style % len(MARKERS)}{' faint' if series.faint else ''}"
    dash = DASHES[series.style % len(DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    parts = [f'<g class="{css}">']
    if len(places) > 1:
        line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<path class="line"{dashed} d="{line}"/>')
    crowded = any(after[0] - before[0] < 7 for before, after in pairwise(places))
    for (x, y), point in zip(places, series.points, strict=True):
        if point.low is not None and point.high is not None:
            whisker = f"M{x:.1f} {y_of(point.low):.1f}V{y_of(point.high):.1f}"
            parts.append(f'<path class="whisker" d="{whisker}"/>')
        if point.strong:
            parts.append(f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="7"/>')
        marker = MARKERS[series.style % len(MARKERS)]
        scale = " scale(.6)" if crowded and not point.strong else ""
        parts.append(f'<path class="mark" transform="translate({x:.1f} {y:.1f}){scale}" d="{marker}">')
        parts.append(f"<title>{escape(point.title)}</title></path>")
    return [*parts, "</g>"]


def _end_labels(
    series: Sequence[Series], x_of: Callable[[float], float], y_of: Callable[[float], float], bottom: float
) -> list[str]:
    named = [one for one in series if one.points]
    ends = [one.points[-1] for one in named]
    x = max(x_of(point.x) for point in ends) + 12
    heights = spread([y_of(point.y) for point in ends], _LINE_HEIGHT, _TOP, bottom)
    parts = []
    for one, point, height in zip(named, ends, heights, strict=True):
        css = f"s{one.style % len(MARKERS)}{' faint' if one.faint else ''}"
        leader = f"M{x_of(point.x) + 6:.1f} {y_of(point.y):.1f}L{x - 2:.1f} {height:.1f}"
        parts.append(f'<g class="{css}"><path class="leader" d="{leader}"/>')
        parts.append(f'<text class="name" x="{x:.1f}" y="{height + 4:.1f}">{escape(one.name)}</text></g>')
    return parts


def _extent(values: Iterable[float]) -> tuple[float, float]:
    known = list(values)
    return min(known), max(known)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = high - low
    return lambda value: start + (end - start) * ((value - low) / span if span else 0.5)


def _tick_texts(ticks: Sequence[float]) -> list[str]:
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    decimals = max(0, min(6, -math.floor(math.log10(step) + 1e-9) + (1 if f"{step:e}"[:3] == "2.5" else 0)))
    return [f"{tick + 0.0:.{decimals}f}" for tick in ticks]
