"""The comparison with another run says what differs, and of what so many queries cannot tell."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from shotsmith.reports.against import Compared, compared, run_names
from shotsmith.reports.data import Against, ReportData
from shotsmith.reports.facts import facts
from shotsmith.reports.language import LANGUAGES

ENGLISH = LANGUAGES["en"]


def compare(data: ReportData) -> Compared:
    assert data.against
    return compared(facts(data.shown), data.against, ENGLISH)


def as_log(data: ReportData, name: str, **settings: Any) -> dict[str, Any]:
    epochs = [row for row in data.shown["epochs"] if row["phase"] == "grpo" and row["seed"] == 0]
    nothing: dict[str, Any] = {key: [] for key in ("stages", "test", "contrasts")}
    return nothing | {"run": f"{name}.md", "recipe": {}, "settings": settings, "epochs": copy.deepcopy(epochs)}


def test_only_settings_that_differ_are_listed(whole: ReportData) -> None:
    found = compare(whole)
    assert found.settings and found.settings.rows == (("grpo.learning_rate", "0.0005", "0.0002"),)
    same = replace(whole, against=Against({**whole.shown, "run": "elsewhere"}))
    assert compare(same).settings is None
    assert compare(same).settings_intro == "The two have the same settings."


def test_accuracies_stand_beside_their_difference(whole: ReportData) -> None:
    found = compare(whole)
    assert found.test and found.test.headings[2:5] == ("demo", "demo-slower", "Difference")
    mean = {
        row["selector"]: row["accuracy"]
        for row in whole.shown["test"]
        if (row["shots"], row["metric"]) == ("mean", "vqa_accuracy")
    }
    for row, selector in zip(found.test.rows, ("supervised", "grpo"), strict=True):
        assert row[0] == ENGLISH.name(selector)
        assert [float(cell) for cell in row[2:5]] == pytest.approx(
            [mean[selector], mean[selector] - 1.5, 1.5], abs=0.051
        )
        assert row[-1] == "2.6"
    assert found.test_by_shots and len(found.test_by_shots.rows) == 8


def test_an_open_difference_names_what_could_have_been_seen(whole: ReportData) -> None:
    supervised, grpo = compare(whole).judged
    assert "cannot be told apart" in supervised and "below 2.6 points would most likely go unseen" in supervised
    assert grpo == "GRPO: demo is 1.5 points above demo-slower (+0.6 to +3.4, p < 0.001)."


def test_without_answers_nothing_is_said_of_accuracy(whole: ReportData) -> None:
    assert whole.against
    found = compare(replace(whole, against=Against(whole.against.shown)))
    assert (found.test, found.test_by_shots, found.judged, found.differences) == (None, None, (), ())
    assert "no answers to the same test queries" in found.test_intro


def test_best_epochs_and_trends_stand_side_by_side(whole: ReportData) -> None:
    assert whole.against
    found = compare(whole)
    here, there = (shown["best"]["val_reward"] for shown in (whole.shown, whole.against.shown))
    assert found.best and found.trends
    rows = {row[0]: row[1:] for row in found.best.rows}
    assert rows["Epoch"][:2] == (str(here["epoch"]), str(there["epoch"]))
    assert float(rows["Val Reward"][2]) == pytest.approx(0.01, abs=1e-4)
    assert {"Val Loss", "PPO Loss", "Adv Std"} <= {row[0] for row in found.trends.rows}


def test_two_logs_are_compared_by_what_they_hold(data: ReportData) -> None:
    mine = as_log(data, "scheme6", **{"grpo.learning_rate": 5e-5, "grpo.beta": 0.1})
    other = as_log(data, "scheme5", **{"grpo.learning_rate": 5e-6, "grpo.epochs": 50})
    found = compare(ReportData(mine, against=Against(other)))
    assert found.settings and found.settings.rows == (("grpo.learning_rate", "5e-05", "5e-06"),)
    assert "does not name all of its settings" in found.settings_intro
    assert found.best and found.trends and found.test is None


def test_runs_of_the_same_name_are_told_apart_by_their_folders(data: ReportData) -> None:
    mine = facts(data.shown)
    assert run_names(mine, facts({**data.shown, "run": "b/demo"})) == (mine.folder, "b/demo")
    first, second = run_names(mine, mine)
    assert first != second
