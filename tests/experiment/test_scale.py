"""docs/scale.md: its tables are what the plan of the recipes shown there says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from shotsmith.planning.plan import Planned, Speed, make_plan
from shotsmith.planning.sizes import assumed_sizes
from shotsmith.recipe import Recipe, parse_recipe

TEXT = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
TOKENS_PER_SECOND = 68_000.0


def examples() -> Iterator[tuple[Recipe, list[str], str]]:
    """Recipe, assumptions and table of each example of the page."""
    example = r"```yaml\n(.*?)```\n\n<!-- plan (.*?) -->\n(.*?)<!-- end -->"
    for recipe, assumed, table in re.findall(example, TEXT, re.S):
        yield parse_recipe(yaml.safe_load(recipe)), assumed.split(), table.strip()


def table(recipe: Recipe, assumed: list[str]) -> str:
    """Every part of every stage, at most."""
    made = make_plan(recipe, assumed_sizes(recipe, assumed), speed=Speed.given(None, TOKENS_PER_SECOND))
    lines = [
        "| stage | prompts at most | VLM calls at most | tokens, millions | GPU-hours |",
        "|---|" + "---:|" * 4,
        *("| " + " | ".join(cells(part, f"{part.stage}: {part.part}")) + " |" for part in made.parts),
        "| " + " | ".join(f"**{cell}**" for cell in cells(made.total(), "total")) + " |",
    ]
    return "\n".join(lines)


def cells(part: Planned, name: str) -> list[str]:
    most = part.most
    tokens = (most.text_tokens or 0) + (most.image_tokens or 0)
    return [name, f"{most.requests:,.0f}", f"{most.calls:,.0f}", f"{tokens / 1e6:,.1f}", f"{most.device_hours:,.2f}"]


def test_there_are_both_data_sets() -> None:
    assert [recipe.name for recipe, _, _ in examples()] == ["okvqa", "vqav2"]


@pytest.mark.parametrize(("recipe", "assumed", "shown"), list(examples()), ids=["okvqa", "vqav2"])
def test_the_tables_are_what_the_plan_says(recipe: Recipe, assumed: list[str], shown: str) -> None:
    assert shown == table(recipe, assumed)
