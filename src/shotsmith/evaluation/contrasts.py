"""How a contrast of two selectors is read: found whichever way round a table holds it, and decided or open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

ALPHA = 0.05
"""Level of the tests."""

Row = Mapping[str, Any]


def contrast_of(rows: Iterable[Row], a: str | None, b: str | None, shots: int | str = "mean") -> Row | None:
    """The contrast of a minus b, also where the table holds it as b minus a; None where it holds neither."""
    for row in rows:
        if row["shots"] == shots and (row["a"], row["b"]) == (a, b):
            return dict(row)
        if row["shots"] == shots and (row["a"], row["b"]) == (b, a):
            turned = {"difference": -row["difference"], "low": -row["high"], "high": -row["low"]}
            return {**row, "a": a, "b": b, **turned}
    return None


def sign_of(contrast: Row) -> Literal["better", "worse", "open"]:
    """Better or worse only where interval and corrected p agree that there is a difference."""
    if contrast["p"] > ALPHA or contrast["low"] <= 0 <= contrast["high"]:
        return "open"
    return "better" if contrast["difference"] > 0 else "worse"
