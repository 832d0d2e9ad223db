"""docs/evaluation.md names every finding, as the command says it, by metrics that are logged and settings there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shotsmith.diagnosis.diagnose import DETECTORS
from shotsmith.recipe import parse_recipe
from shotsmith.reports.language.findings_en import TEXT
from shotsmith.runs.folder import flat

DOCS = Path(__file__).parents[2] / "docs"
SECTION = (DOCS / "evaluation.md").read_text(encoding="utf-8").split("\n### Every finding\n")[1].split("\n### ")[0]
ROWS = {
    cells[0].strip("`"): cells
    for line in SECTION.splitlines()
    if line.startswith("| `")
    for cells in [[cell.strip() for cell in line.strip("|").split(" | ")]]
}
KEYS = [key.split(".")[1] for key in TEXT if key.startswith("finding.") and key.endswith(".title")]


def test_every_finding_is_on_the_page_in_the_order_of_the_sentences() -> None:
    assert list(ROWS) == KEYS


@pytest.mark.parametrize("key", KEYS)
def test_the_page_says_what_the_command_says(key: str) -> None:
    _, title, how, meaning = ROWS[key]
    assert (title, meaning) == (TEXT[f"finding.{key}.title"], TEXT[f"finding.{key}.meaning"]) and how


def test_metrics_and_settings_of_the_page_exist() -> None:
    glossary = (DOCS / "training.md").read_text(encoding="utf-8").split("## Every metric")[1]
    settings = flat(parse_recipe({"data": {"world": {}}, "pools": {}}).model_dump(mode="json"))
    known = {*re.findall(r"`([\w/]+)`", glossary), *settings, *KEYS}
    known |= {"best_by", "--against", "evaluations.jsonl", "diagnosis/"}
    for code in re.findall(r"`([^`]+)`", SECTION):
        assert code.partition(": ")[0] in known, code


def test_every_detector_says_what_it_looks_for() -> None:
    assert [detector for detector in DETECTORS if not detector.__doc__] == []
