"""`shotsmith diagnose`: what it prints, in 80 columns, as JSON, and where it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shotsmith.cli import app
from shotsmith.recipe import parse_recipe
from shotsmith.reports.language import LANGUAGES
from shotsmith.runs import Run

LOGS = Path(__file__).parents[1] / "diagnosis"


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["diagnose", *map(str, arguments)], env={"COLUMNS": "80"})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path / "small", parse_recipe({"data": {"world": {}}}))
    run.record_epoch({"seed": 0, "phase": "grpo", "epoch": 1, "kl": 0.1, "beta": 0.01, "val_reward": 0.5})
    return run


def test_it_reads_well_in_80_columns() -> None:
    result = call(LOGS / "scheme6.md")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80 and "{" not in result.stdout
    assert lines[0] == "Fault Groups are cut until nothing is left to learn"
    assert "  --set grpo.sampling.keep_top=[]" in lines
    severities = [line.split()[0] for line in lines if line.startswith(("Fault", "Warning", "Note"))]
    assert severities == sorted(severities, key=("Fault", "Warning", "Note").index)


def test_another_run_or_log_stands_beside(run: Run) -> None:
    assert "Learning rate 5e-05 here and 5e-06 in scheme5" in call(
        LOGS / "scheme6.md", "--against", LOGS / "scheme5.log"
    ).stdout.replace("\n  ", " ")
    assert call(run.folder, "--against", LOGS / "scheme5.log").exit_code == 0


def test_where_nothing_is_found_it_says_so(run: Run) -> None:
    result = call(run.folder)
    assert (result.exit_code, result.stdout) == (0, "Nothing found: no detector sees a fault in these figures.\n")
    assert json.loads(call(run.folder, "--json").stdout) == []


def test_json_holds_keys_figures_settings_and_sentences() -> None:
    findings = {finding["key"]: finding for finding in json.loads(call(LOGS / "scheme6.md", "--json").stdout)}
    beta = findings["beta_at_floor"]
    assert beta["severity"] == "warning" and beta["values"]["beta"] == 0.001
    assert beta["settings"] == {"grpo.kl.controller": "fixed", "grpo.beta": 0.01}
    assert beta["overrides"] == ["grpo.kl.controller=fixed", "grpo.beta=0.01"]
    assert all(beta[part] for part in ("title", "evidence", "meaning", "advice"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_it(language: str) -> None:
    result = call(LOGS / "scheme6.md", "--lang", language)
    assert result.exit_code == 0
    assert LANGUAGES[language].text["finding.never_on_policy.title"] in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("absent",), "absent: no such run or log"),
        ((LOGS,), "is not a run folder"),
        ((LOGS / "conftest.py",), "holds no table of epochs"),
        ((LOGS / "scheme6.md", "--lang", "tlh"), "there is no language 'tlh'; there are: en"),
        ((LOGS / "scheme6.md", "--against", "absent"), "absent: no such run or log"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_exit_2(arguments: tuple[str | Path, ...], said: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2 and said in result.stderr and result.stdout == ""


def test_help_has_an_example() -> None:
    assert "Example: shotsmith diagnose " in call("--help").stdout
