"""How numbers are written."""

from __future__ import annotations

import math
from collections.abc import Iterable

_MOST_DECIMALS = 6
_HUGE = 1e5


def figure(value: object) -> str:
    """A number with three or four significant digits, a dash where there is none."""
    return figures([value])[0]


def figures(values: Iterable[object]) -> list[str]:
    """Numbers of one kind, such as a column of a table, all with as many decimals as the largest of them needs."""
    known = list(values)
    decimals = _decimals([abs(value) for value in known if isinstance(value, float) and math.isfinite(value)])
    return [_written(value, decimals) for value in known]


def _decimals(sizes: Iterable[float]) -> int:
    """Three significant digits of what is below 1, four of what is above."""
    largest = max((size for size in sizes if size < _HUGE), default=0.0)
    if largest == 0:
        return 0
    power = math.floor(math.log10(largest))
    return min(_MOST_DECIMALS, max(0, (2 if power < 0 else 3) - power))


def _written(value: object, decimals: int) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.{decimals}f}" if abs(value) < _HUGE else f"{value:.1e}"


def counted(number: int, one: str, several: str | None = None) -> str:
    """A number with what it counts: 1 query, 1,200 queries."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def duration(seconds: float) -> str:
    """3 s, 2 min 5 s, 1 h 2 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def megabytes(count: int | None) -> str:
    """Bytes as 1,057 MB; a dash where they are not known."""
    return "-" if count is None else f"{count / 1e6:,.0f} MB"


def p_value(p: float) -> str:
    """Three decimals; below that, only that it is below."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def setting(value: object) -> str:
    """A setting's value."""
    if isinstance(value, list | tuple):
        return ", ".join(setting(item) for item in value) or "-"
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def short(value: float, signed: bool = False) -> str:
    """A number in a sentence: four significant digits."""
    return f"{value:+.4g}" if signed else f"{value:.4g}"
