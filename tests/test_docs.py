"""The documents tell the truth: their recipes load, their commands exist, their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from shotsmith.cli import app
from shotsmith.recipe import parse_recipe

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
VERBS = set(get_command(app).commands)  # type: ignore[attr-defined]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_recipes_in_the_documents_are_valid(page: Path) -> None:
    for block in blocks(page, "yaml"):
        parse_recipe(yaml.safe_load(block), page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_documents_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for verb in re.findall(r"(?:`|bin/|\$ )shotsmith ([a-z]+)", text):
        assert verb in VERBS, verb
    for target in re.findall(r"^make ([a-z]+)", "\n".join(blocks(page, "sh")), re.M):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), target
    for module in re.findall(r"python -m (shotsmith[.\w]*)", text):
        assert (ROOT / "src" / (module.replace(".", "/") + ".py")).exists(), module
    for script in re.findall(r"python (benchmarks/\w+\.py)", text):
        assert (ROOT / script).exists(), script


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_in_the_documents_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_readme_shows_a_recipe_and_both_commands() -> None:
    readme = ROOT / "README.md"
    assert len(blocks(readme, "yaml")) == 1
    assert {"make demo", "make test"} <= {line.split("#")[0].strip() for line in blocks(readme, "sh")[0].splitlines()}
