"""docs/migrating.md says what the code does: every variable, argument, folder and command of the predecessor."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shotsmith.compat.scripts import arguments
from shotsmith.compat.scripts.environment import ALSO, NAMES, SETTINGS
from shotsmith.compat.scripts.places import CAPTIONS, DATA_SETS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its first two lines."""
    lines = [line for line in re.split(r"\n## ", TEXT.split(f"\n## {heading}\n")[1])[0].splitlines() if line[:1] == "|"]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines][2:]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_every_variable_has_its_row_with_its_default_and_setting():
    table = {quoted(row[0])[0]: row for row in rows("Environment variables")}
    for name, (setting, _, default) in SETTINGS.items():
        assert quoted(table[name][1]) == [default], name
        wanted = [setting, *([ALSO[name]] if name in ALSO else [])]
        assert quoted(table[name][2])[: len(wanted)] == wanted, name


@pytest.mark.parametrize("name", NAMES)
def test_every_other_variable_is_on_the_page(name: str):
    assert f"`{name}`" in TEXT or f"`{name}=" in TEXT


def test_every_argument_is_on_the_page_with_what_it_becomes():
    table = {row[0]: row for row in rows("Arguments of the scripts")}
    assert set(quoted(table["sampler"][1])) == set(arguments.SAMPLERS)
    assert set(quoted(table["sampler"][2])) == {"pools.sampler"} | {pools for _, pools in arguments.SAMPLERS.values()}
    assert quoted(table["prompt"][1]) == [arguments.PROMPT]
    assert set(quoted(table["model"][1])) <= set(arguments.MODELS)
    assert tuple(quoted(table["version"][1])) == arguments.VERSIONS
    assert tuple(quoted(table["task"][1])) == arguments.TASKS
    assert set(quoted(table["data set"][1])) == {*DATA_SETS, *CAPTIONS}


def test_the_folders_are_named_as_they_are_made():
    name = arguments.understand("vqa", "okvqa_local", "0", arguments.PROMPT, "rand_sampler", "qwen2.5_vl_3B").folder(
        "v3"
    )
    assert f"`model_cpk/{name}/`" in TEXT
    assert f"`icl_inference/{name}/metrics.json`" in TEXT


@pytest.mark.parametrize("script", ["train_v3.sh", "inference.sh", "convert_v3_to_v2_format.py"])
def test_every_script_on_the_page_is_there_and_the_other_way_round(script: str):
    assert script in TEXT
    assert (ROOT / "scripts" / script).exists()
    assert {file.name for file in (ROOT / "scripts").glob("*_v*.*")} <= {"train_v3.sh", "convert_v3_to_v2_format.py"}
