"""docs/migrating.md, the section on faults: its commands run on every format, and its table has every finding."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from compat.formats import Size, write_formats
from typer.testing import CliRunner

from shotsmith.cli import app
from shotsmith.compat.files.audit import MEANINGS

ROOT = Path(__file__).parents[2]
MIGRATING = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
PAGE = MIGRATING.split("\n## What was wrong, and how to see it in your own files\n")[1]
SHORT = ("supervised.epochs=1", "rce.epochs=1", "grpo.epochs=1", "policy.hidden_size=16", "seeds=[0]")


def test_every_command_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_formats(tmp_path, Size(queries=10, rows=6))
    monkeypatch.chdir(tmp_path)
    commands = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S) for line in block.splitlines()]
    assert len(commands) == 6
    for command in commands:
        name, *arguments = shlex.split(command.replace("recipes/", f"{ROOT}/recipes/"))
        assert name == "shotsmith"
        more = [part for setting in SHORT for part in ("--set", setting)] if arguments[0] == "run" else []
        result = CliRunner().invoke(app, [*arguments, *more])
        assert result.exit_code == 0, (command, result.output)
    assert (tmp_path / "runs" / "imported" / "report.html").exists()


def test_the_table_of_findings_has_them_all() -> None:
    table = PAGE.split("\n### What the audit finds\n")[1].split("\n### ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(MEANINGS)
