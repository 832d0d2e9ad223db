"""What the predecessor's reports suggest is one command each: in the docs, and in the report of the log."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from shotsmith.compat.scripts.arguments import understand, understand_test
from shotsmith.compat.suggestions import suggestions
from shotsmith.recipe import load_recipe
from shotsmith.reports.content import content
from shotsmith.reports.gather import gather
from shotsmith.reports.language import LANGUAGES
from shotsmith.reports.markdown import markdown

ROOT = Path(__file__).parents[2]
LOG = ROOT / "tests" / "diagnosis" / "scheme6.md"
COMMANDS = [each.command for each in suggestions("grpo", 2, 5e-5)]


def test_the_docs_have_the_same_commands() -> None:
    page = (ROOT / "docs" / "schemes.md").read_text(encoding="utf-8")
    table = page.split("## What its reports suggest next")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| ([^|]+) \| `([^`]+)` \|$", table, re.M))
    assert list(rows.values()) == COMMANDS
    said = " ".join(rows)
    for suggestion in ("test epoch 2 on 800 samples", "`5+6+8`", "`5+6+9`", "2e-5", "1e-5", "curriculum", "shaping"):
        assert suggestion in said


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_report_of_that_log_lists_them_among_the_next_steps(language: str) -> None:
    said = content(gather(LOG), LANGUAGES[language])
    assert [step.command for step in said.steps if step.command in COMMANDS] == COMMANDS
    assert all(command in markdown(said) for command in COMMANDS)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("shotsmith")])
def test_each_is_a_recipe_that_is_there(command: str) -> None:
    words = shlex.split(command)
    overrides = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    recipe = load_recipe(ROOT / words[2], overrides)
    shaped, staged = recipe.reward.mode == "hard_plus_gtprob_plus_rel", recipe.grpo.curriculum.kind == "staged"
    assert (shaped, staged) == ("scheme8" in command, "scheme9" in command)
    rate = re.search(r"learning_rate=(\S+)", command)
    assert recipe.grpo.learning_rate == float(rate[1] if rate else 5e-6)


def test_the_test_of_an_epoch_is_understood_by_the_script() -> None:
    variable, *words = shlex.split(COMMANDS[0])
    assert variable.endswith("/grpo_epoch2.pt")
    understand(*words[2:8])
    assert understand_test(*words[8:]) == 800


def test_another_log_gets_its_own_epoch_and_rate(tmp_path: Path) -> None:
    log = tmp_path / "scheme5.log"
    log.write_text("GRPO_LR=5e-6\nEpoch Val Loss KL\n2 5.3 0.1\n7 5.1 0.1\n")
    commands = [step.command for step in content(gather(log), LANGUAGES["en"]).steps]
    assert any("grpo_epoch7.pt" in command for command in commands)
    assert "shotsmith run recipes/predecessor/scheme8.yaml" in commands
    assert not any("5-6-8" in command for command in commands)
