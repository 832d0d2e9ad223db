"""`shotsmith plan`: what a recipe will cost, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shotsmith.cli.options import Json, Overrides, RecipeFile, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from shotsmith.planning.plan import Plan, Planned
    from shotsmith.recipe import Recipe


def plan(
    recipe: RecipeFile,
    overrides: Overrides = None,
    prompts_per_second: Annotated[float | None, typer.Option(help="Speed of one device, in prompts.")] = None,
    tokens_per_second: Annotated[
        float | None, typer.Option(help="Speed of one device, in prompt tokens (image tokens included).")
    ] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Time some prompts of the recipe on its VLM.")] = False,
    like: Annotated[
        Path | None, typer.Option("--like", metavar="RUN", help="Take speed and behaviour from a finished run.")
    ] = None,
    assume: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SIZE=NUMBER", help="Read no data: train=443757 and test=214354, image_tokens=391 ... Repeatable."
        ),
    ] = None,
    devices: Annotated[int, typer.Option(min=1, help="Devices (GPUs or CPUs) that answer side by side.")] = 1,
    as_json: Json = False,
) -> None:
    """Say what a recipe will cost: prompts, VLM calls, tokens, stored bytes and, where a speed is known, hours.

    Nothing is asked and no weights are read, except to --measure. Ranges are in --json; docs/scale.md explains them.

    Example: shotsmith plan recipes/demo.yaml --prompts-per-second 200
    """
    from shotsmith.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    made = _plan(loaded, (prompts_per_second, tokens_per_second), measure, like, assume, devices)
    if as_json:
        print_json({"recipe": loaded.model_dump(mode="json"), "devices": devices, **made.as_json()})
    else:
        _print(made, devices)


def _plan(
    recipe: Recipe,
    told: tuple[float | None, float | None],
    measure: bool,
    like: Path | None,
    assume: list[str] | None,
    devices: int,
) -> Plan:
    from shotsmith.errors import InputError
    from shotsmith.planning import speed
    from shotsmith.planning.like import corrections_of
    from shotsmith.planning.plan import make_plan
    from shotsmith.planning.sizes import assumed_sizes, read_assumed, readable_splits, sampled_sizes
    from shotsmith.runs import Run

    speeds = speed.given(*told)
    if sum((speeds is not None, measure)) > 1:
        raise InputError("the speed is either given or measured")
    if assume and measure:
        raise InputError("--measure needs the data that --assume does without")
    corrections = None
    if like is not None:
        other = Run.open(like)
        with readable_splits(other.recipe) as splits:
            corrections = corrections_of(other, sampled_sizes(other.recipe, splits))
        speeds = speeds or (None if measure else speed.of_run(other))
    if assume:
        return make_plan(recipe, assumed_sizes(recipe, read_assumed(assume)), speeds, devices, corrections)
    with readable_splits(recipe) as splits:
        sizes = sampled_sizes(recipe, splits)
        if measure:
            speeds = speed.measured(recipe, splits, max(recipe.evaluation.shots))
    return make_plan(recipe, sizes, speeds, devices, corrections)


def _print(made: Plan, devices: int) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_table(made, devices))
    total = made.total()
    low, high = (f"{side.calls:,.0f}" for side in (total.low, total.high))
    console.print(f"VLM calls between {low} and {high}: what policy and VLM will do is not known before.")


def _table(made: Plan, devices: int) -> Table:
    from rich.table import Table

    timed = made.total().expected.device_hours > 0
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Stage", no_wrap=True)
    headings = ["Prompts", "VLM calls", "Text tokens", "Image tokens", "Generated", "Stored"]
    hours = ["Device hours", *(["Wall hours"] if devices > 1 else [])] if timed else []
    for heading in (*headings, *hours):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in _rows(made):
        bold = not row.part
        table.add_row(*_cells(row, timed, devices), style="bold" if bold else None)
    return table


def _rows(made: Plan) -> list[Planned]:
    """Every stage, with its parts under it where it has several, and the total."""
    rows = []
    for stage in dict.fromkeys(part.stage for part in made.parts):
        parts = [part for part in made.parts if part.stage == stage]
        rows.append(made.total(stage))
        rows += parts if len(parts) > 1 else []
    return [*rows, made.total()]


def _cells(row: Planned, timed: bool, devices: int) -> list[str]:
    figures = row.expected
    counts = (
        figures.requests,
        figures.calls,
        figures.text_tokens,
        figures.image_tokens,
        figures.generated_tokens,
    )
    cells = [f"  {row.part}" if row.part else row.stage, *(f"{count:,.0f}" for count in counts)]
    cells.append(_size(figures.stored_bytes))
    if timed:
        cells.append(f"{figures.device_hours:,.2f}")
        cells += [f"{figures.wall_hours:,.2f}"] if devices > 1 else []
    return cells


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:,.0f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"
