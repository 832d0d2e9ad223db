"""`shotsmith report`: of a run at any moment, of a log, in both languages, and with nothing heavy loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shotsmith.cli import app
from shotsmith.recipe import parse_recipe
from shotsmith.runs import Run

LOG = """Epoch  Val Loss  PPO Loss  KL  Adv Std
1  5.15333  -0.00042  0.03542  0.0063
2  5.15152  0.00005  0.03565  0.0062
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    made = Run.create(Path("runs/small"), parse_recipe({"name": "small", "data": {"world": {}}}))
    for epoch in (1, 2):
        made.record_epoch({"seed": 0, "phase": "grpo", "epoch": epoch, "val_reward": epoch / 4, "kl": 0.01})
    Path("scheme6.md").write_text(LOG)
    return made


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["report", *arguments], env={"COLUMNS": "100"})


def test_both_formats_in_english_are_the_default(run: Run) -> None:
    result = call("runs/small")
    assert result.exit_code == 0
    assert result.stdout.split() == ["runs/small/report.html", "runs/small/report.md"]
    assert "# Run small" in run.report_markdown.read_text() and "<!doctype html>" in run.report_html.read_text()


def test_one_format_in_chinese_leaves_the_english_report_alone(run: Run) -> None:
    result = call("runs/small", "--lang", "zh", "--format", "md", "--json")
    assert json.loads(result.stdout) == {"md": "runs/small/report.zh.md"}
    assert "# small 训练结果分析" in Path("runs/small/report.zh.md").read_text()
    assert not run.report_html.exists() and not run.report_markdown.exists()


def test_a_logs_report_is_called_after_it(run: Run) -> None:
    assert call("scheme6.md", "--lang", "zh", "--quiet").stdout == ""
    assert "| 5.152 |" in Path("scheme6.report.zh.md").read_text()
    assert call("scheme6.md", "--out", "elsewhere", "--format", "html").exit_code == 0
    assert Path("elsewhere/scheme6.report.html").exists()


def test_against_another_run_or_a_log(run: Run) -> None:
    assert call("runs/small", "--against", "scheme6.md", "--format", "md").exit_code == 0
    text = run.report_markdown.read_text()
    assert "Comparison with the other run" in text and "small is this run; scheme6 is the other one" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent"], "no such run or log"),
        (["runs"], "recipe.yaml"),
        (["runs/small", "--against", "absent"], "no such run or log"),
        (["runs/small", "--lang", "fr"], "fr"),
        (["runs/small", "--format", "pdf"], "pdf"),
    ],
)
def test_bad_input_is_named_and_ends_with_2(run: Run, arguments: list[str], said: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2 and said in result.stderr


def test_the_first_report_after_the_evaluation_ends_the_run(run: Run) -> None:
    assert call("runs/small", "--quiet").exit_code == 0
    assert run.status() == "created"
    run.record("evaluate", 1.0, 0, 0)
    assert call("runs/small", "--quiet").exit_code == 0
    assert run.status() == "done"
    before = run.stages_file.read_text()
    assert call("runs/small", "--quiet").exit_code == 0
    assert run.stages_file.read_text() == before


def test_neither_torch_nor_transformers_is_loaded(run: Run) -> None:
    script = (
        "import sys\n"
        "from shotsmith.cli import app\n"
        "app(['report', 'runs/small', '--against', 'scheme6.md', '--quiet'], standalone_mode=False)\n"
        "sys.exit(', '.join({'torch', 'transformers'} & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
