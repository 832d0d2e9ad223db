"""`shotsmith plan`: what a recipe will cost, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shotsmith.cli.options import Json, Overrides, RecipeFile, print_json, recipe_in

if TYPE_CHECKING:
    from rich.table import Table

    from shotsmith.planning.pilot import Pilot
    from shotsmith.planning.plan import Plan, Planned
    from shotsmith.planning.sizes import Sizes
    from shotsmith.recipe import Recipe

_WIDE = 130
"""Characters from which every column has room."""


def plan(
    recipe: RecipeFile,
    overrides: Overrides = None,
    prompts_per_second: Annotated[float | None, typer.Option(help="Speed of one device, in prompts.")] = None,
    tokens_per_second: Annotated[
        float | None, typer.Option(help="Speed of one device, in prompt tokens (image tokens included).")
    ] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Time some prompts of the recipe on its VLM.")] = False,
    pilot: Annotated[
        int, typer.Option(min=0, metavar="QUERIES", help="Let the VLM evaluate so many validation queries first.")
    ] = 0,
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
    """Estimate what a recipe will cost: prompts, VLM calls, tokens, stored bytes and, where a speed is known, hours.

    Nothing is asked and no weights are read, except to --measure and for a --pilot. The column "At most" is exact.

    Example: shotsmith plan recipes/demo.yaml --prompts-per-second 200
    """
    from shotsmith.recipe import load_recipe

    recipe, _ = recipe_in(recipe, None)
    loaded = load_recipe(recipe, overrides or ())
    made = _plan(loaded, (prompts_per_second, tokens_per_second), measure, pilot, like, assume, devices)
    if as_json:
        print_json({"recipe": loaded.model_dump(mode="json"), "devices": devices, **made.as_json()})
    else:
        _print(made, devices)


def _plan(
    recipe: Recipe,
    told: tuple[float | None, float | None],
    measure: bool,
    pilot: int,
    like: Path | None,
    assume: list[str] | None,
    devices: int,
) -> Plan:
    from shotsmith.errors import InputError
    from shotsmith.planning import speed
    from shotsmith.planning.behaviour import USUAL
    from shotsmith.planning.like import corrections_of
    from shotsmith.planning.plan import make_plan
    from shotsmith.planning.sizes import assumed_sizes, read_assumed, readable_splits, sampled_sizes
    from shotsmith.runs import Run

    speeds = speed.given(*told)
    if sum((speeds is not None, measure)) > 1:
        raise InputError("the speed is either given or measured")
    if assume and (measure or pilot):
        raise InputError("--measure and --pilot need the data that --assume does without")
    assumed = read_assumed(assume) if assume else None

    def sizes_of(some: Recipe) -> Sizes:
        if assumed is not None:
            return assumed_sizes(some, assumed)
        with readable_splits(some) as splits:
            return sampled_sizes(some, splits)

    sizes, corrections, behaviour = sizes_of(recipe), None, USUAL
    if like is not None:
        other = Run.open(like)
        corrections = corrections_of(other, sizes_of(other.recipe))
        speeds = speeds or (None if measure else speed.of_run(other))
    if measure:
        with readable_splits(recipe) as splits:
            speeds = speed.measured(recipe, splits, max(recipe.evaluation.shots))
    if pilot:
        seen = _pilot(recipe, pilot)
        behaviour = seen.behaviour(recipe)
        corrections = {key: factor for key, factor in (corrections or {}).items() if key[0] != "evaluate"}
        speeds = speeds or seen.speeds()
    return make_plan(recipe, sizes, speeds, devices, corrections, behaviour)


def _pilot(recipe: Recipe, queries: int) -> Pilot:
    from shotsmith.cli.terminal import listening
    from shotsmith.planning.pilot import run_pilot

    with listening(quiet=False) as progress:
        return run_pilot(recipe, queries, progress)


def _print(made: Plan, devices: int) -> None:
    from shotsmith.cli.console import Console

    console = Console(highlight=False)
    console.print(plan_table(made, devices, console.width))
    most = made.total().most_calls
    console.print(f"The calls are an estimate. There cannot be more than {most:,.0f}, as long as none fails.")


def plan_table(made: Plan, devices: int, width: int) -> Table:
    """One row per stage and part; a narrow terminal does without what --json has anyway."""
    from rich.table import Table

    wide, timed = width >= _WIDE, made.total().expected.device_hours > 0
    table = Table(box=None, pad_edge=False, padding=(0, 2 if wide else 1, 0, 0))
    table.add_column("Stage", no_wrap=True)
    columns = [column for column in _COLUMNS if wide or column[0] not in _WIDE_ONLY]
    if timed:
        columns += _HOURS if devices > 1 else _HOURS[:1]
    for heading, _ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in _rows(made):
        cells = [show(row) for _, show in columns]
        table.add_row(f"  {row.part}" if row.part else row.stage, *cells, style=None if row.part else "bold")
    return table


def _rows(made: Plan) -> list[Planned]:
    """Every stage, with its parts under it where it has several, and the total."""
    rows = []
    for stage in dict.fromkeys(part.stage for part in made.parts):
        parts = [part for part in made.parts if part.stage == stage]
        rows.append(made.total(stage))
        rows += parts if len(parts) > 1 else []
    return [*rows, made.total()]


def _tokens(count: float) -> str:
    return f"{count / 1e6:,.2f} M"


def _hours(hours: float) -> str:
    return f"{hours:,.2f}" if hours >= 1 else f"{hours:.3f}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:,.0f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


_COLUMNS: tuple[tuple[str, Callable[[Planned], str]], ...] = (
    ("Prompts", lambda row: f"{row.expected.requests:,.0f}"),
    ("VLM calls", lambda row: f"{row.expected.calls:,.0f}"),
    ("At most", lambda row: f"{row.most_calls:,.0f}"),
    ("Text tokens", lambda row: _tokens(row.expected.text_tokens)),
    ("Image tokens", lambda row: _tokens(row.expected.image_tokens)),
    ("Generated", lambda row: _tokens(row.expected.generated_tokens)),
    ("Stored", lambda row: _size(row.expected.stored_bytes)),
)
_HOURS: tuple[tuple[str, Callable[[Planned], str]], ...] = (
    ("Device hours", lambda row: _hours(row.expected.device_hours)),
    ("Wall hours", lambda row: _hours(row.expected.wall_hours)),
)
_WIDE_ONLY = {"Prompts", "Text tokens", "Image tokens", "Generated"}
