"""docs/scale.md: its tables are what the plan of the recipes shown there says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from shotsmith.planning import speed
from shotsmith.planning.behaviour import USUAL, Behaviour
from shotsmith.planning.plan import Plan, Planned, make_plan
from shotsmith.planning.sizes import assumed_sizes, read_assumed
from shotsmith.recipe import Recipe, parse_recipe

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
TEXT = PAGE.read_text(encoding="utf-8")
TOKENS_PER_SECOND = 68_000.0
DEVICES = (1, 8, 64)


def worked_out() -> Iterator[tuple[Recipe, list[str], str]]:
    """Recipe, assumptions and table of each example of the page."""
    example = r"```yaml\n(.*?)```\n\n<!-- plan (.*?) -->\n(.*?)<!-- end -->"
    for recipe, assumed, table in re.findall(example, TEXT, re.S):
        yield parse_recipe(yaml.safe_load(recipe)), assumed.split(), table.strip()


def table(recipe: Recipe, assumed: list[str]) -> str:
    """Every stage and part, and what it costs on 1, 8 and 64 devices."""
    sizes, speeds = assumed_sizes(recipe, read_assumed(assumed)), speed.given(None, TOKENS_PER_SECOND)
    one, *more = (make_plan(recipe, sizes, speeds, devices) for devices in DEVICES)
    head = ["stage", "VLM calls", "at most", "tokens, millions", "stored, MB", "GPU-hours"]
    head += [f"hours on {devices}" for devices in DEVICES]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    lines += [row(number, (one, *more)) for number in range(len(one.parts))]
    totals = [plan.total() for plan in (one, *more)]
    return "\n".join([*lines, "| " + " | ".join(f"**{cell}**" for cell in cells(totals, "total")) + " |"])


def row(number: int, plans: tuple[Plan, ...]) -> str:
    parts = [plan.parts[number] for plan in plans]
    return "| " + " | ".join(cells(parts, f"{parts[0].stage}: {parts[0].part}".rstrip(": "))) + " |"


def cells(parts: list[Planned], name: str) -> list[str]:
    part = parts[0]
    tokens = part.expected.text_tokens + part.expected.image_tokens
    return [
        name,
        f"{part.expected.calls:,.0f}",
        f"{part.most_calls:,.0f}",
        f"{tokens / 1e6:,.1f}",
        f"{part.expected.stored_bytes / 1e6:,.1f}",
        f"{part.expected.device_hours:,.2f}",
        *(f"{each.expected.wall_hours:,.2f}" for each in parts),
    ]


def test_there_are_both_data_sets() -> None:
    assert [recipe.name for recipe, _, _ in worked_out()] == ["okvqa", "vqav2"]


@pytest.mark.parametrize(("recipe", "assumed", "shown"), list(worked_out()), ids=["okvqa", "vqav2"])
def test_the_tables_are_what_the_plan_says(recipe: Recipe, assumed: list[str], shown: str) -> None:
    assert shown == table(recipe, assumed)


def test_every_constant_is_explained_with_its_value() -> None:
    section = TEXT.split("\n## How the calls are counted\n")[1].split("\n## ")[0]
    said = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", section, re.M))
    assert {field.name: valued(getattr(USUAL, field.name)) for field in fields(Behaviour)} == said


def valued(value: float | tuple[float, ...]) -> str:
    return ", ".join(f"{one:g}" for one in (value if isinstance(value, tuple) else (value,)))
