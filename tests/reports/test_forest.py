"""The plot of differences: places on one scale, and in words what each interval holds."""

from __future__ import annotations

import pytest

from shotsmith.reports.forest import forest
from shotsmith.reports.language import LANGUAGES

ENGLISH = LANGUAGES["en"]


def row(low: float, difference: float, high: float) -> dict[str, float]:
    return {"low": low, "difference": difference, "high": high}


def test_places_are_on_one_scale_with_zero_on_it() -> None:
    found = forest([("a", row(-4, -1, 2)), ("b", row(6, 8, 10))], "Differences", ENGLISH)
    assert found
    scale = {text: at for at, text in found.ticks}
    first, second = found.branches
    assert scale["0"] == pytest.approx(found.zero)
    per_point = (second.at - first.at) / 9
    assert first.at == pytest.approx(found.zero - per_point)
    assert (second.low, second.high) == pytest.approx((found.zero + 6 * per_point, found.zero + 10 * per_point))
    assert all(0 <= place <= 100 for branch in found.branches for place in (branch.low, branch.at, branch.high))


def test_where_the_interval_lies_is_said_in_words() -> None:
    rows = [("a", row(1, 2, 3)), ("b", row(-3, -2, -1)), ("c", row(-1, 1, 3)), ("d", row(0, 1, 2))]
    found = forest(rows, "Differences", ENGLISH)
    assert found and [branch.verdict for branch in found.branches] == ["above 0", "below 0", "holds 0", "holds 0"]
    assert found.branches[0].text == "+2.0 [+1.0, +3.0]"


def test_zero_is_on_the_scale_even_where_every_difference_is_far_from_it() -> None:
    found = forest([("a", row(20, 21, 22))], "Differences", ENGLISH)
    assert found and found.zero == 0 and found.branches[0].low > 60


def test_without_rows_there_is_no_plot() -> None:
    assert forest([], "Differences", ENGLISH) is None
