"""The judgements follow the numbers, and the commands work."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shotsmith.recipe import load_recipe
from shotsmith.reports.data import ReportData
from shotsmith.reports.facts import facts
from shotsmith.reports.findings import next_steps, strengths, verdict, weaknesses
from shotsmith.reports.language import LANGUAGES

Shown = dict[str, Any]


@pytest.fixture
def shown(data: ReportData) -> Shown:
    return copy.deepcopy(dict(data.shown))


def said(shown: Shown) -> tuple[set[str], set[str]]:
    found = facts(shown)
    return {s.key for s in strengths(found)}, {s.key for s in weaknesses(found)}


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
    assert verdict(found).key == f"verdict.{verdict_key}"
    key = f"contrast.{verdict_key}"
    against_mixed = [s.key for s in (strengths(found) if good else weaknesses(found)) if s.values.get("b") == "mixed"]
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
    (weakness,) = [s for s in weaknesses(facts(shown)) if s.key == "contrast.below_at_shots"]
    assert weakness.values["shots"] == 3


def test_headroom_counts_from_the_best_training_free_selector(shown: Shown) -> None:
    found = facts(shown)
    mean = {
        row["selector"]: row["accuracy"]
        for row in shown["test"]
        if row["shots"] == "mean" and "norm" not in row["metric"]
    }
    assert found.best_training_free == "mixed"
    assert found.headroom == pytest.approx(mean["oracle"] - mean["mixed"])
    assert found.gain == pytest.approx(mean["grpo"] - mean["mixed"])
    assert "headroom.small" in said(shown)[1]
    for row in shown["test"]:
        if row["selector"] == "oracle":
            row["accuracy"] = mean["grpo"] + 2
    assert "headroom.large" in said(shown)[0]


def test_weak_signal_drift_and_collapse_are_weaknesses(shown: Shown) -> None:
    assert {"signal.clear", "kl.near"} <= said(shown)[0]
    set_column(shown, "adv_std", lambda epoch: 0.0062)
    set_column(shown, "frac_reward_zero_std", lambda epoch: 0.9)
    set_column(shown, "kl", lambda epoch: 17.0 if epoch == 9 else 0.1)
    set_column(shown, "entropy", lambda epoch: 3.0 / epoch)
    assert {"signal.weak", "signal.zero_groups", "kl.far", "entropy.collapsed"} <= said(shown)[1]
    (drift,) = [s for s in weaknesses(facts(shown)) if s.key == "kl.far"]
    assert (drift.values["epoch"], drift.values["kl"]) == (9, 17.0)


def test_a_reward_that_peaks_early_is_told_and_a_slower_run_proposed(shown: Shown) -> None:
    set_column(shown, "val_reward", lambda epoch: 1.2 - 0.01 * abs(epoch - 4))
    assert "val_reward.fell_late" in said(shown)[1]
    (step,) = [step for step in next_steps(facts(shown)) if step.why.key == "next.slower"]
    assert step.why.values["epoch"] == 4 and "grpo.learning_rate=0.0005" in step.command


def test_a_reward_still_rising_asks_for_more_epochs(shown: Shown) -> None:
    set_column(shown, "val_reward", lambda epoch: 1 + 0.01 * epoch)
    assert "val_reward.rose" in said(shown)[0]
    (step,) = [step for step in next_steps(facts(shown)) if step.why.key == "next.longer"]
    assert "grpo.epochs=50" in step.command


def test_a_phase_that_stays_behind_an_earlier_one_is_a_weakness(shown: Shown) -> None:
    assert "criteria.earlier_phase" not in said(shown)[1]
    set_column(shown, "val_reward", lambda epoch: 0.5)
    (weakness,) = [s for s in weaknesses(facts(shown)) if s.key == "criteria.earlier_phase"]
    best = max(row["val_reward"] for row in shown["epochs"] if row["phase"] == "rce")
    assert (weakness.values["phase"], weakness.values["value"]) == ("rce", best)


def test_an_unfinished_run_is_finished_first(shown: Shown) -> None:
    shown["epochs"] = [row for row in shown["epochs"] if row["phase"] != "grpo"]
    steps = next_steps(facts(shown))
    assert steps[0].why.key == "next.train"
    assert shlex.split(steps[0].command) == ["shotsmith", "run", f"{shown['run']}/recipe.yaml", "--out", shown["run"]]


def test_every_command_is_one_the_command_line_takes(shown: Shown) -> None:
    set_column(shown, "frac_reward_zero_std", lambda epoch: 0.9)
    set_column(shown, "kl", lambda epoch: 17.0)
    set_column(shown, "entropy", lambda epoch: 3.0 / epoch)
    shown["recipe"]["grpo"]["learning_rate"] = 1e-5
    set_column(shown, "val_reward", lambda epoch: 1.2 - 0.01 * abs(epoch - 4))
    keys = set()
    for step in next_steps(facts(shown)):
        words = shlex.split(step.command)
        if words[:2] == ["shotsmith", "run"]:
            overrides = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
            recipe = load_recipe(Path(words[2]), overrides)
            assert recipe.name != "demo" and recipe != load_recipe(Path(words[2]))
            keys.add(step.why.key)
    assert keys == {"next.slower", "next.generations", "next.beta", "next.entropy", "next.seeds"}


def test_paths_with_spaces_are_quoted(shown: Shown) -> None:
    shown["run"] = "runs/my demo"
    assert all("my demo" in shlex.join(shlex.split(s.command)) for s in next_steps(facts(shown)))
    assert ["shotsmith", "show", "runs/my demo", "--json"] in [shlex.split(s.command) for s in next_steps(facts(shown))]


def test_every_statement_can_be_said(shown: Shown) -> None:
    english, said_something = LANGUAGES["en"], 0
    for low, high in ((1, 5), (-2, 3), (-5, -1)):
        for other in ("mixed", "supervised", "grpo_reversed"):
            set_contrast(shown, other, low, high)
        found = facts(shown)
        for statement in [verdict(found), *strengths(found), *weaknesses(found), *(s.why for s in next_steps(found))]:
            sentence = english.state(statement)
            assert sentence.endswith(".") and "{" not in sentence and "_" not in sentence
            said_something += 1
    assert said_something > 20
