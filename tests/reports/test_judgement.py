"""The judgements follow the numbers; what the diagnosis has found is not said again."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from shotsmith.diagnosis.finding import Finding
from shotsmith.reports.content import content
from shotsmith.reports.data import ReportData
from shotsmith.reports.facts import facts
from shotsmith.reports.judgement import judge, verdict
from shotsmith.reports.language import LANGUAGES, Statement
from shotsmith.reports.overview import headline
from shotsmith.reports.steps import next_steps

Shown = dict[str, Any]


@pytest.fixture
def shown(data: ReportData) -> Shown:
    return copy.deepcopy(dict(data.shown))


def said(shown: Shown) -> tuple[set[str], set[str]]:
    found = facts(shown)
    good, bad = judge(found)
    return {s.key for s in good}, {s.key for s in bad}


def weaknesses(shown: Shown) -> list[Statement]:
    return judge(facts(shown))[1]


def set_contrast(shown: Shown, b: str, low: float, high: float, shots: object = "mean") -> None:
    for row in shown["contrasts"]:
        if (row["a"], row["b"], row["shots"]) == ("grpo", b, shots):
            row.update(low=low, high=high, difference=(low + high) / 2)


def set_column(shown: Shown, column: str, value: Callable[[int], float]) -> None:
    for row in shown["epochs"]:
        if row["phase"] == "grpo":
            row[column] = value(row["epoch"])


@pytest.mark.parametrize(
    ("low", "high", "good", "verdict_key"),
    [(1, 5, True, "better"), (-2, 3, False, "open"), (-5, -1, False, "worse"), (0, 5, False, "open")],
)
def test_only_an_interval_above_zero_is_a_gain(
    shown: Shown, low: float, high: float, good: bool, verdict_key: str
) -> None:
    set_contrast(shown, "mixed", low, high)
    found = facts(shown)
    assert verdict(found)[0].key == f"verdict.{verdict_key}"
    key = f"contrast.{verdict_key}"
    against_mixed = [s.key for s in judge(found)[0 if good else 1] if s.values.get("b") == "mixed"]
    assert against_mixed == [key]


def test_a_contrast_noted_the_other_way_round_is_turned(shown: Shown) -> None:
    shown["contrasts"] = [
        {"a": "mixed", "b": "grpo", "shots": "mean", "difference": -18, "low": -21, "high": -15, "p": 0.01}
    ]
    contrast = facts(shown).contrast("grpo", "mixed")
    assert contrast and (contrast["difference"], contrast["low"], contrast["high"]) == (18, 15, 21)
    assert "contrast.better" in said(shown)[0]


def test_a_number_of_shots_below_supervised_is_a_weakness(shown: Shown) -> None:
    assert "contrast.below_at_shots" not in said(shown)[1]
    set_contrast(shown, "supervised", -4, -1, shots=3)
    (weakness,) = [s for s in weaknesses(shown) if s.key == "contrast.below_at_shots"]
    assert weakness.values["shots"] == 3


def test_headroom_counts_from_the_best_free_selector(shown: Shown) -> None:
    found = facts(shown)
    mean = {
        row["selector"]: row["accuracy"]
        for row in shown["test"]
        if row["shots"] == "mean" and "norm" not in row["metric"]
    }
    assert found.best_free == "mixed"
    assert found.headroom == pytest.approx(mean["oracle"] - mean["mixed"])
    assert found.gain == pytest.approx(mean["grpo"] - mean["mixed"])
    assert "headroom.small" in said(shown)[1]
    for row in shown["test"]:
        if row["selector"] == "oracle":
            row["accuracy"] = mean["grpo"] + 2
    assert "headroom.large" in said(shown)[0]


def test_the_best_free_selector_is_the_one_chosen_on_validation_queries(shown: Shown) -> None:
    shown["best_free"] = {"selector": "image_similar", "best_shots": 2}
    assert (facts(shown).best_free, facts(shown).best_free_shots) == ("image_similar", 2)


def without_a_gain(shown: Shown, free: str = "mixed") -> None:
    shown["best_free"] = {"selector": free, "best_shots": 4}
    shown["contrasts"] = [
        {"a": "grpo", "b": free, "shots": "mean", "difference": -9.0, "low": -12.0, "high": -6.0, "p": 0.001}
    ]
    for row in shown["test"]:
        if row["selector"] == "grpo":
            row["accuracy"] = 40.0


def test_a_run_that_does_not_beat_what_is_free_says_so_first_and_what_to_use(shown: Shown) -> None:
    without_a_gain(shown)
    page = content(ReportData(shown), LANGUAGES["en"])
    at_four = facts(shown).accuracy("mixed", 4)
    first = page.overview
    assert first.verdict.startswith("Training did not pay: on the test queries GRPO is worse than Mixed") and at_four
    assert first.alternatives == (f"Use Mixed with 4 shots, without training: {at_four['accuracy']:.1f} %.",)
    assert first.tiles[0].value == "-9.0" and first.tiles[0].label == "points over Mixed"
    assert "headroom.none" in said(shown)[1]
    everything = " ".join([first.verdict, *first.notes, *page.weaknesses, *(tile.label for tile in first.tiles)])
    assert "% of the headroom" not in everything and "gains -" not in everything


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("low", "high"), [(-12.0, -6.0), (-2.0, 3.0)])
def test_of_a_run_that_gained_nothing_no_share_of_the_headroom_is_told(
    shown: Shown, language: str, low: float, high: float
) -> None:
    """Also where the mean is higher by chance."""
    set_contrast(shown, "mixed", low, high)
    found = facts(shown)
    assert found.gain is not None and found.gain > 0
    good, bad = said(shown)
    assert not {"headroom.small", "headroom.large"} & (good | bad) and "headroom.open" in bad
    page = content(ReportData(shown), LANGUAGES[language])
    assert not any("%" in sentence for sentence in page.strengths)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("told", "key"), [({"sole_answer": "yes"}, "same_answer"), ({"nothing_right": True}, "nothing_right")]
)
def test_answers_that_tell_nothing_of_selectors_are_the_first_thing_said(
    shown: Shown, language: str, told: dict[str, object], key: str
) -> None:
    page = content(ReportData(shown | told), LANGUAGES[language])
    assert page.overview.verdict == LANGUAGES[language].say(f"verdict.{key}", text="yes")
    steps = next_steps(facts(shown | told))
    assert steps[0].why.key == "next.prompt"
    assert steps[0].command == f"shotsmith prompt {shown['run']}"
    assert not {"next.longer", "next.seeds"} & {step.why.key for step in steps}


def test_no_clear_difference_is_said_where_the_interval_holds_zero(shown: Shown) -> None:
    set_contrast(shown, "mixed", -2, 3)
    page = content(ReportData(shown), LANGUAGES["en"])
    assert page.overview.verdict.startswith("No clear difference") and "Use Mixed" in page.overview.alternatives[0]
    assert "no clear difference" in page.overview.tiles[0].note


def test_a_run_that_beats_what_is_free_says_so_first_and_what_is_best_without_it(shown: Shown) -> None:
    page = content(ReportData(shown), LANGUAGES["en"])
    assert page.overview.verdict.startswith("Use the trained selector: on the test queries GRPO is better than Mixed")
    shots = facts(shown).best_free_shots
    free, there = (facts(shown).accuracy(name, shots or 0) for name in ("mixed", "grpo"))
    assert shots and free and there
    said = f"Mixed with {shots} shots: {free['accuracy']:.1f} %, where GRPO reaches {there['accuracy']:.1f} %."
    assert page.overview.alternatives == (f"The best alternative without training is {said}",)
    assert page.steps[0].command == f"shotsmith serve {shown['run']}"


@pytest.mark.parametrize(
    ("low", "high", "line"),
    [
        (1, 5, "grpo 70.3 % beats the best free selector (mixed, 52.3 %) by 3.0 points [1.0, 5.0], mean over shots."),
        (-5, -1, "grpo 70.3 % does not beat the best free selector (mixed, 52.3 %): -3.0 points [-5.0, -1.0]"),
        (-2, 3, "grpo 70.3 % does not beat the best free selector (mixed, 52.3 %): +0.5 points [-2.0, +3.0]"),
    ],
)
def test_the_line_for_a_terminal_names_selectors_as_the_command_line_does(
    shown: Shown, low: float, high: float, line: str
) -> None:
    set_contrast(shown, "mixed", low, high)
    for row in shown["test"]:
        if row["selector"] in ("grpo", "mixed") and row["shots"] == "mean":
            row["accuracy"] = {"grpo": 70.3, "mixed": 52.3}[row["selector"]]
    said = headline(facts(shown), LANGUAGES["en"])
    assert said.startswith(line)
    assert said.endswith("mean over shots.") == (low > 0) and ("Use mixed with 4 shots" in said) == (low < 0)


def test_what_the_verdict_says_is_not_said_again_as_a_strength(shown: Shown) -> None:
    page = content(ReportData(shown), LANGUAGES["en"])
    assert "contrast.better" in said(shown)[0]
    assert not any("above Mixed" in sentence for sentence in page.strengths)
    assert any("above Supervised" in sentence for sentence in page.strengths)


@pytest.mark.parametrize(
    ("free", "key"),
    [("zero_shot", "verdict.use_zero_shot"), ("mixed", "verdict.use"), ("majority_vote", "verdict.use_vote")],
)
def test_what_to_use_is_said_for_each_kind_of_free_selector(shown: Shown, free: str, key: str) -> None:
    shown["test"] += [{**row, "selector": "majority_vote"} for row in shown["test"] if row["selector"] == "mixed"]
    without_a_gain(shown, free)
    assert verdict(facts(shown))[1].key == key


def test_a_free_selector_at_the_oracle_means_that_training_cannot_pay(shown: Shown) -> None:
    without_a_gain(shown)
    gap = {"a": "oracle", "b": "mixed", "shots": "mean", "difference": 1.0, "low": 0.2, "high": 2.0, "p": 0.01}
    shown["contrasts"].append(gap)
    assert verdict(facts(shown))[-1].key == "verdict.no_headroom"
    gap.update(difference=20.0, low=15.0, high=25.0)
    assert verdict(facts(shown))[-1].key == "verdict.use"


def test_where_the_points_are_lost_is_told(shown: Shown) -> None:
    part = {"accuracy": 70.0, "within": 85.0, "oracle": 93.0, "retrieval": 8.0, "choice": 15.0, "right": 93.0, "n": 9}
    kinds = {"name": part, "use": {**part, "choice": 40.0}}
    shown["recall"] = [{"selector": name, "shots": "mean", **part, "kinds": kinds} for name in ("mixed", "grpo")]
    page = content(ReportData(shown), LANGUAGES["en"])
    assert "GRPO misses 8.0 points by retrieval" in page.recall_intro and "15.0 by choice" in page.recall_intro
    by_selector, by_kind = (table for _, table in page.recall)
    assert [row[0] for row in by_selector.rows] == ["Mixed", "GRPO"]
    assert by_kind.rows[1] == ("use", "70.0", "40.0", "85.0", "8.0", "93.0", "9")


def test_good_curves_are_strengths_unless_the_diagnosis_speaks_against_them(shown: Shown) -> None:
    assert {"signal.clear", "kl.near", "val_reward.rose"} <= said(shown)[0]
    for key, strength in (
        ("groups_without_signal", "signal.clear"),
        ("kl_exploded", "kl.near"),
        ("val_reward_turned", "val_reward.rose"),
    ):
        good, bad = judge(facts(shown), [Finding(key, "warning")])
        assert strength not in {s.key for s in good} | {s.key for s in bad}
    set_column(shown, "adv_std", lambda epoch: 0.0062)
    set_column(shown, "kl", lambda epoch: 17.0 if epoch == 9 else 0.1)
    set_column(shown, "val_reward", lambda epoch: 1.2 - 0.01 * abs(epoch - 4))
    assert not {"signal.clear", "kl.near", "val_reward.rose"} & said(shown)[0]


def test_a_phase_that_stays_behind_an_earlier_one_is_a_weakness(shown: Shown) -> None:
    assert "criteria.earlier_phase" not in said(shown)[1]
    set_column(shown, "val_reward", lambda epoch: 0.5)
    (weakness,) = [s for s in weaknesses(shown) if s.key == "criteria.earlier_phase"]
    best = max(row["val_reward"] for row in shown["epochs"] if row["phase"] == "rce")
    assert (weakness.values["phase"], weakness.values["value"]) == ("rce", best)


def test_every_statement_can_be_said(shown: Shown) -> None:
    said_something = 0
    for low, high in ((1, 5), (-2, 3), (-5, -1)):
        for other in ("mixed", "supervised", "grpo_reversed"):
            set_contrast(shown, other, low, high)
        found = facts(shown)
        for statement in [*verdict(found), *judge(found)[0], *judge(found)[1], *(s.why for s in next_steps(found))]:
            for language, stop in (("en", "."), ("zh", "。")):
                sentence = LANGUAGES[language].state(statement)
                assert sentence.endswith(stop) and "{" not in sentence and "_" not in sentence
                said_something += 1
    assert said_something > 40
