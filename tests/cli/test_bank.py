"""`shotsmith bank`: what it prints, as text, JSON and files, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from small_bank import Banked, answer, banked_run
from small_explored import Told, explored_run
from typer.testing import CliRunner

from shotsmith.cli import app


@pytest.fixture(scope="module")
def banked(tmp_path_factory: pytest.TempPathFactory) -> Banked:
    return banked_run(tmp_path_factory.mktemp("banked"))


def said(*arguments: str, columns: int = 120) -> str:
    done = CliRunner().invoke(app, ["bank", *arguments], env={"COLUMNS": str(columns)})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_it_says_in_words_what_to_mend_and_to_drop(banked: Banked) -> None:
    text = said(str(banked.run.folder), "-n", "3")
    assert "Mend: " in text and "Likely wrong answers" in text and "similar say" in text
    assert "Most useful (" in text and "Groups of entries" in text
    table = text.split("Likely wrong answers")[1].split("\n\n")[0].splitlines()[2:]
    assert len(table) == 3 and all(int(line.split()[0]) in banked.wrong for line in table)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_figures_stay_whole_on_any_terminal(banked: Banked, columns: int) -> None:
    text = said(str(banked.run.folder), "-n", "3", columns=columns)
    table = text.split("Likely wrong answers")[1].split("\n\n")[0].splitlines()[2:]
    assert all(int(line.split()[0]) in banked.wrong and "%" in line for line in table)


def test_json_holds_the_lists(banked: Banked) -> None:
    told = json.loads(said(str(banked.run.folder), "--json", "-n", "2"))
    assert [one["id"] in banked.wrong for one in told["lists"]["mend"]] == [True, True]
    assert told["counts"]["mend"] >= 2 and told["judged_on"] == "train and val" and told["sentences"]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_file_has_a_row_for_every_entry(banked: Banked, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"bank.{ending}"
    said(str(banked.run.folder), "--out", str(file), "--quiet")
    text = file.read_text(encoding="utf-8")
    rows = (
        list(csv.DictReader(text.splitlines())) if ending == "csv" else [json.loads(one) for one in text.splitlines()]
    )
    assert len(rows) == 256
    flagged = [row for row in rows if "mend" in row["flags"]]
    assert {int(row["id"]) for row in flagged} <= banked.wrong and all(row["suggested"] for row in flagged)


def test_another_kind_of_file_is_refused(banked: Banked, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bank", str(banked.run.folder), "--out", str(tmp_path / "bank.xlsx")])
    assert done.exit_code == 2 and ".csv" in done.output


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["bank", str(tmp_path)]).exit_code == 2


def test_a_run_without_a_log_says_so_and_cannot_be_asked_about(tmp_path: Path) -> None:
    run = explored_run(tmp_path)
    assert "no log of prompts" in said(str(run.folder))
    done = CliRunner().invoke(app, ["bank", str(run.folder), "--ask", "2"])
    assert done.exit_code == 2 and "--ask" in done.output


def test_hostile_texts_reach_the_terminal_as_codes(tmp_path: Path) -> None:
    told = Told(bank=320, question=lambda _: "what\x1b[2J is\u202e it [red]?", answer=answer)
    text = said(str(banked_run(tmp_path, told).run.folder), "-n", "2", columns=200)
    assert "\x1b[2J" not in text and "\u202e" not in text and "\\x1b" in text and "[red]" in text


def test_help_has_an_example() -> None:
    assert "shotsmith bank runs/demo" in CliRunner().invoke(app, ["bank", "--help"]).output
