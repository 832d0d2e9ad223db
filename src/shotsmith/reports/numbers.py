"""How numbers are written."""

from __future__ import annotations


def figure(value: object) -> str:
    """A number as tables show it: five decimals while it is small, a dash where there is none."""
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.5f}" if abs(value) < 10 else f"{value:.2f}" if abs(value) < 1e5 else f"{value:.1e}"


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
