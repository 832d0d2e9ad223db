"""Characters that a terminal or a browser obeys are shown by their codes, wherever text of others is shown."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from shotsmith.cli import app
from shotsmith.cli.console import Console
from shotsmith.cli.options import print_json
from shotsmith.cli.terminal import _plain
from shotsmith.reports import write
from shotsmith.reports.write import write_report
from shotsmith.visible import visible, visible_json, visible_line

HOSTILE = "a\x1b[31mred\x1b]0;title\x07\x00\x9b2J\u202egnp.exe\u2066\u200f\r\ud800z"
OBEYED = "\x1b\x07\x00\x9b\u202e\u2066\u200f\r\ud800"


def is_safe(text: str) -> bool:
    return not any(character in text for character in OBEYED)


def test_each_is_shown_by_its_code_and_letters_of_all_scripts_stay() -> None:
    assert visible("\x1b[2J\x00\u202e\x85") == r"\x1b[2J\x00\u202e\x85"
    kept = "größe 形状 עברית عربى 👩\u200d👧\n\tnaïve"
    assert visible(kept) == kept
    assert is_safe(visible(HOSTILE))
    assert visible_line("one\n  two\n") == "one two"


def test_json_means_the_same() -> None:
    text = visible_json(json.dumps({HOSTILE: [HOSTILE]}, ensure_ascii=False))
    assert is_safe(text) and json.loads(text) == {HOSTILE: [HOSTILE]}


@pytest.mark.parametrize("terminal", [True, False])
def test_the_console_shows_them_in_strings_tables_and_text_and_styles_its_own(terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=400, color_system=None)
    table = Table(HOSTILE)
    table.add_row(HOSTILE)
    table.add_row(Text(HOSTILE))
    for shown in (HOSTILE, table, Text(HOSTILE), Panel(HOSTILE)):
        console.print(shown)
    assert is_safe(out.getvalue())
    assert out.getvalue().count(r"\u202e") == 6
    styled = io.StringIO()
    Console(file=styled, force_terminal=True).print("bold", style="bold")
    assert "\x1b[1mbold" in styled.getvalue()


def test_brackets_are_no_markup() -> None:
    out = io.StringIO()
    table = Table("answer")
    table.add_row("[stop]")
    console = Console(file=out, width=80)
    console.print("[red]is[/red] [stop]")
    console.print(table)
    assert "[red]is[/red] [stop]" in out.getvalue() and out.getvalue().count("[stop]") == 2


def test_log_lines_and_printed_json_show_them(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("shotsmith", logging.WARNING, "", 0, "bad: %s", (HOSTILE,), None)
    assert is_safe(_plain().format(record))
    print_json({HOSTILE: 1})
    assert is_safe(capsys.readouterr().out)


@pytest.mark.parametrize("form", ["md", "html"])
def test_reports_show_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(write, "content", lambda *_: None)
    monkeypatch.setitem(write.FORMATS, form, lambda _: HOSTILE)
    (path,) = write_report(tmp_path, None, formats=[form]).values()
    assert is_safe(path.read_bytes().decode())


def test_an_error_about_a_hostile_key_value_or_name_is_one_line(tmp_path: Path) -> None:
    recipe = tmp_path / "re\x1b[2Jcipe\n.yaml"
    recipe.write_text('"ke\\x1by\\u202e": 1\nname: "\\x07"\n')
    done = CliRunner().invoke(app, ["run", str(recipe)])
    assert done.exit_code == 2
    assert is_safe(done.stderr) and len(done.stderr.strip().splitlines()) == 1
    assert r"\x1b" in done.stderr
