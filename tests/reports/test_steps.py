"""What to do next comes from the data, and its commands work as they stand."""

from __future__ import annotations

import copy
import shlex
from pathlib import Path
from typing import Any

import pytest

from shotsmith.diagnosis.finding import Finding
from shotsmith.recipe import load_recipe
from shotsmith.reports.data import ReportData
from shotsmith.reports.facts import facts
from shotsmith.reports.steps import next_steps

Shown = dict[str, Any]


@pytest.fixture
def shown(data: ReportData) -> Shown:
    return copy.deepcopy(dict(data.shown))


def raise_reward(shown: Shown) -> None:
    for row in shown["epochs"]:
        if row["phase"] == "grpo":
            row["val_reward"] = 1 + 0.01 * row["epoch"]


def test_a_reward_still_rising_asks_for_more_epochs(shown: Shown) -> None:
    raise_reward(shown)
    (step,) = [step for step in next_steps(facts(shown)) if step.why.key == "next.longer"]
    assert "grpo.epochs=50" in step.command and step.why.values["epoch"] == 25


def test_an_unfinished_run_is_finished_first(shown: Shown) -> None:
    shown["epochs"] = [row for row in shown["epochs"] if row["phase"] != "grpo"]
    steps = next_steps(facts(shown), [Finding("beta_at_floor", "warning", settings={"grpo.beta": 0.1})])
    assert steps[0].why.key == "next.train"
    assert shlex.split(steps[0].command) == ["shotsmith", "run", f"{shown['run']}/recipe.yaml", "--out", shown["run"]]


def test_findings_with_settings_become_steps_the_gravest_first_and_once(shown: Shown) -> None:
    found = [
        Finding("kl_exploded", "warning", settings={"grpo.beta": 1e-5, "grpo.shots": [1, 2]}),
        Finding("ppo_loss_sign", "note"),
        Finding("groups_truncated", "fault", settings={"grpo.sampling.keep_top": []}),
        Finding("groups_saturated", "fault", settings={"grpo.sampling.keep_top": []}),
    ]
    keys = [step.why.key for step in next_steps(facts(shown), found)]
    assert keys[:3] == ["next.use", "finding.groups_truncated.advice", "finding.kl_exploded.advice"]
    assert not {"finding.ppo_loss_sign.advice", "finding.groups_saturated.advice"} & set(keys)


def test_every_command_is_one_the_command_line_takes(shown: Shown) -> None:
    raise_reward(shown)
    finding = Finding("kl_exploded", "fault", settings={"grpo.beta": 1e-5, "grpo.shots": [1, 2]})
    recipes = {}
    for step in next_steps(facts(shown), [finding]):
        words = shlex.split(step.command)
        if words[:2] == ["shotsmith", "run"]:
            overrides = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
            recipes[step.why.key] = load_recipe(Path(words[2]), overrides)
    assert set(recipes) == {"finding.kl_exploded.advice", "next.longer", "next.seeds"}
    assert len({recipe.name for recipe in recipes.values()} | {"demo"}) == 4
    changed = recipes["finding.kl_exploded.advice"].grpo
    assert (changed.beta, changed.shots) == (1e-5, (1, 2))


def test_paths_with_spaces_are_quoted(shown: Shown) -> None:
    shown["run"] = "runs/my demo"
    commands = [shlex.split(step.command) for step in next_steps(facts(shown))]
    assert all("my demo" in " ".join(words) for words in commands)
    assert ["shotsmith", "show", "runs/my demo", "--json"] in commands


def test_a_log_has_no_recipe_to_run(shown: Shown) -> None:
    log = {**shown, "run": "scheme6.md", "recipe": {}, "settings": {"grpo.beta": 0.1}, "test": [], "contrasts": []}
    steps = next_steps(facts(log), [Finding("beta_at_floor", "warning", settings={"grpo.beta": 0.1})])
    assert [step.command for step in steps] == [
        "shotsmith run RECIPE.yaml --set name=scheme6-beta-at-floor --set grpo.beta=0.1",
        "shotsmith diagnose scheme6.md --json",
    ]
