"""Charts are right, readable without colour, and safe."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.reports.charts import Band, Point, Series, bar_chart, line_chart, nice_ticks, spread, whole_ticks
from shotsmith.reports.curves import accuracy_chart, learning_curves
from shotsmith.reports.data import ReportData
from shotsmith.reports.facts import facts
from shotsmith.reports.language import LANGUAGES

values = st.floats(-1e6, 1e6, allow_nan=False)


@given(values, values)
def test_ticks_take_in_the_data_and_are_few(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    ticks = nice_ticks(low, high)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack and 2 <= len(ticks) <= 7
    assert all(after > before for before, after in pairwise(ticks))


def test_ticks_of_figures_that_differ_by_rounding_differ_visibly() -> None:
    ticks = nice_ticks(0.9999999, 1.0000001)
    assert len({f"{tick:.2f}" for tick in ticks}) == len(ticks)


@given(st.integers(0, 100), st.integers(0, 500))
def test_epoch_ticks_are_epochs(low: int, span: int) -> None:
    ticks = whole_ticks(low, low + span)
    assert ticks and ticks[0] >= low and ticks[-1] <= low + span and len(ticks) <= 8
    assert len(set(ticks)) == len(ticks)


@given(st.lists(st.floats(0, 200, allow_nan=False), min_size=1, max_size=10))
def test_names_at_line_ends_never_overlap_and_keep_their_order(wanted: list[float]) -> None:
    places = spread(wanted, 13, 0, 200)
    in_order = sorted(places)
    assert all(after - before >= 13 - 1e-6 for before, after in pairwise(in_order))
    assert min(places) >= -1e-6 and max(places) <= 200 + 1e-6
    for i, first in enumerate(wanted):
        for j, second in enumerate(wanted):
            assert first >= second or places[i] < places[j]


def chart(series: list[Series], **options: object) -> ElementTree.Element:
    titles = {"x_title": "across", "y_title": "up & down"}
    return ElementTree.fromstring(line_chart(series, name="a <chart>", width=400, **titles, **options))  # type: ignore[arg-type]


def test_higher_values_are_drawn_higher() -> None:
    svg = chart([Series("s", (Point(1, 10, "low"), Point(2, 30, "high"), Point(3, 20, "middle")))])
    marks = {mark[0].text: mark.attrib["transform"] for mark in svg.iter("path") if mark.attrib["class"] == "mark"}
    heights = {text: float(re.findall(r"[\d.]+", place)[1]) for text, place in marks.items()}
    assert heights["high"] < heights["middle"] < heights["low"]


def test_series_differ_in_dash_and_marker_and_carry_their_names() -> None:
    series = [Series(f"name {n}", (Point(1, n, ""), Point(2, n, "")), style=n) for n in range(9)]
    svg = chart(series, label_width=80)
    lines = [path.attrib.get("stroke-dasharray", "") for path in svg.iter("path") if path.attrib["class"] == "line"]
    marks = {path.attrib["d"] for path in svg.iter("path") if path.attrib["class"] == "mark"}
    assert len(set(lines)) == 9 and len(marks) == 9
    assert {text.text for text in svg.iter("text") if text.attrib["class"] == "name"} == {s.name for s in series}


def test_text_is_escaped_and_the_chart_has_a_name() -> None:
    svg = chart([Series("<b>", (Point(1, 1, "<i>&"),))], label_width=50, bands=[Band("</svg>", 0, 2)])
    assert svg.attrib["aria-label"] == "a <chart>" and svg.attrib["role"] == "img"
    assert {"<b>", "</svg>"} <= {text.text for text in svg.iter("text")}


def test_no_data_no_chart() -> None:
    for series in ([], [Series("s", ())]):
        assert line_chart(series, name="x", width=100, x_title="x", y_title="y") == ""


def test_bars_are_as_high_as_their_values() -> None:
    bars = [("1-8", 40.0, "forty"), ("9-16", 20.0, "twenty")]
    names = {"name": "x", "x_title": "rank", "y_title": "share", "chance_name": "chance"}
    svg = ElementTree.fromstring(bar_chart(bars, width=300, height=200, chance=12.5, **names))
    assert {"rank", "share"} <= {text.text for text in svg.iter("text")}
    first, second = (float(rect.attrib["height"]) for rect in svg.iter("rect"))
    assert first == pytest.approx(2 * second, abs=0.2)
    assert [title.text for title in svg.iter("title")] == ["forty", "twenty"]


def test_every_epoch_and_every_accuracy_is_in_the_charts(data: ReportData) -> None:
    found, english = facts(data.shown), LANGUAGES["en"]
    curves = {curve.caption: curve.svg for curve in learning_curves(found, english)}
    assert set(curves) == {
        "Val Reward",
        "Val Loss",
        "Reward",
        "KL",
        "Entropy",
        "Adv Std",
        "Zero-spread groups",
        "PPO Loss",
    }
    assert curves["Val Reward"].count("<title>") == len(data.shown["epochs"])
    best = data.shown["best"]["val_reward"]
    assert f"GRPO, seed {best['seed']}, epoch {best['epoch']}: {best['val_reward']:.3f}, best" in curves["Val Reward"]
    assert curves["Val Reward"].count('class="ring"') == 1
    svg = accuracy_chart(found, english, 760)
    for row in data.shown["test"]:
        if row["metric"] == "vqa_accuracy" and row["shots"] == 2 and row["selector"] != "grpo_reversed":
            title = (
                f"{english.name(row['selector'])}, 2 shots: {row['accuracy']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"
            )
            assert title in svg


def test_reversed_sequences_are_not_a_selector_of_their_own_in_the_charts(data: ReportData) -> None:
    found, english = facts(data.shown), LANGUAGES["en"]
    assert "grpo_reversed" in found.test
    assert "reversed" not in accuracy_chart(found, english, 760)


def test_the_axes_say_what_they_measure(data: ReportData) -> None:
    found, english = facts(data.shown), LANGUAGES["en"]
    svg = ElementTree.fromstring(accuracy_chart(found, english, 760))
    titles = [text.text for text in svg.iter("text") if text.attrib["class"] == "title"]
    assert titles == ["Shots (demonstrations in the prompt)", "Official VQA accuracy (%)"]
    for curve in learning_curves(found, english):
        assert curve.svg.count('class="title"') == 2 and ">Epoch</text>" in curve.svg


def test_marks_of_one_number_of_shots_stand_close_together(data: ReportData) -> None:
    svg = ElementTree.fromstring(accuracy_chart(facts(data.shown), LANGUAGES["en"], 760))
    ticks = [float(text.attrib["x"]) for text in svg.iter("text") if text.text in ("1", "2", "3", "4")]
    gap = ticks[1] - ticks[0]
    marks = [path.attrib["transform"] for path in svg.iter("path") if path.attrib["class"] == "mark"]
    places = [float(re.findall(r"[\d.]+", mark)[0]) for mark in marks]
    assert len(places) > 30
    assert all(min(abs(place - tick) for tick in ticks) <= 0.11 * gap for place in places)
