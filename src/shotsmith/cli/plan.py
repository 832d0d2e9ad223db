"""`shotsmith plan`: what a recipe will cost, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shotsmith.cli.options import Json, Overrides, RecipeFile, print_json, recipe_in

if TYPE_CHECKING:
    from rich.table import Table

    from shotsmith.planning.measured import Measured
    from shotsmith.planning.plan import Plan, Planned
    from shotsmith.planning.sizes import Sizes
    from shotsmith.recipe import Recipe

_WIDE = 110
"""Characters from which every column has room."""


def plan(
    recipe: RecipeFile,
    overrides: Overrides = None,
    prompts_per_second: Annotated[float | None, typer.Option(help="Speed of one device, in prompts.")] = None,
    tokens_per_second: Annotated[
        float | None, typer.Option(help="Speed of one device, in prompt tokens (image tokens included).")
    ] = None,
    pilot: Annotated[
        int,
        typer.Option(min=0, metavar="QUERIES", help="Estimate from a part of the work on so many validation queries."),
    ] = 0,
    like: Annotated[
        Path | None,
        typer.Option("--like", metavar="RUN", help="Estimate from the calls and the time of a finished run."),
    ] = None,
    assume: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SIZE=NUMBER", help="Read no data: train=443757 and test=214354, image_tokens=391 ... Repeatable."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a recipe costs at most: prompts, VLM calls, tokens and, where a speed is known, hours.

    A --pilot or a run that it is --like adds an estimate. Nothing is asked and no weights are read, except for a
    --pilot.

    Example: shotsmith plan recipes/demo.yaml --like runs/demo
    """
    from shotsmith.planning.plan import Speed, make_plan
    from shotsmith.recipe import load_recipe

    recipe, _ = recipe_in(recipe, None)
    loaded, speed = load_recipe(recipe, overrides or ()), Speed.given(prompts_per_second, tokens_per_second)
    sizes, measured = _measured(loaded, pilot, like, assume)
    made = make_plan(loaded, sizes, measured, speed)
    failed = measured.failed if measured is not None else None
    if as_json:
        told = {"recipe": loaded.model_dump(mode="json"), **made.as_json()}
        print_json(told | {"failed_prompts": failed and failed.as_json()})
        return

    from shotsmith.cli.console import Console
    from shotsmith.cli.tables import print_failed

    console = Console(highlight=False)
    console.print(plan_table(made, console.width))
    print_failed(failed, console)
    console.print(_explained(made), soft_wrap=True, markup=False)


def _measured(recipe: Recipe, pilot: int, like: Path | None, assume: list[str] | None) -> tuple[Sizes, Measured | None]:
    """The sizes of the recipe, and what its estimate is made from."""
    from shotsmith.errors import InputError
    from shotsmith.planning.bounds import bounds
    from shotsmith.planning.measured import measured_in
    from shotsmith.planning.sizes import assumed_sizes, read_sizes
    from shotsmith.runs import Run

    if pilot and like is not None:
        raise InputError("an estimate is made from --pilot or from --like, not from both")
    if pilot and assume:
        raise InputError("--pilot needs the data that --assume does without")

    def sizes_of(some: Recipe) -> Sizes:
        return assumed_sizes(some, assume) if assume else read_sizes(some)

    sizes = sizes_of(recipe)
    if like is not None:
        run = Run.open(like)
        return sizes, measured_in(run, bounds(run.recipe, read_sizes(run.recipe)))
    if not pilot:
        return sizes, None

    from shotsmith.cli.terminal import listening
    from shotsmith.planning.pilot import run_pilot

    with listening(quiet=False) as progress:
        return sizes, run_pilot(recipe, pilot, sizes, progress)


def _explained(made: Plan) -> str:
    """What the table says, in words."""
    most = f"There cannot be more than {made.total().most.calls or 0:,.0f} calls, as long as none fails."
    if made.estimated_from is None:
        return (
            f"{most} Every figure is of these calls. --pilot or --like RUN adds an estimate of those that are needed."
        )
    return f'{most} The column "Estimate", tokens and hours are an estimate from {made.estimated_from}.'


def plan_table(made: Plan, width: int) -> Table:
    """One row per stage and part; a narrow terminal does without what --json has anyway."""
    from rich.table import Table

    wide = width >= _WIDE
    table = Table(box=None, pad_edge=False, padding=(0, 2 if wide else 1, 0, 0))
    table.add_column("Stage", no_wrap=True)
    columns = [column for column in _COLUMNS if wide or column[0] not in _WIDE_ONLY]
    rows = _rows(made)
    columns = [(heading, show) for heading, show in columns if show(rows[-1])]
    for heading, _ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
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


def _count(count: float | None) -> str:
    return "" if count is None else f"{count:,.0f}"


def _tokens(count: float | None) -> str:
    return "" if count is None else f"{count / 1e6:,.2f} M"


def _hours(hours: float | None) -> str:
    return "" if hours is None else f"{hours:,.2f}" if hours >= 1 else f"{hours:.3f}"


_COLUMNS: tuple[tuple[str, Callable[[Planned], str]], ...] = (
    ("Prompts at most", lambda row: _count(row.most.requests)),
    ("VLM calls at most", lambda row: _count(row.most.calls)),
    ("Estimate", lambda row: _count(None if row.expected is None else row.expected.calls)),
    ("Text tokens", lambda row: _tokens((row.expected or row.most).text_tokens)),
    ("Image tokens", lambda row: _tokens((row.expected or row.most).image_tokens)),
    ("Device hours", lambda row: _hours((row.expected or row.most).device_hours)),
)
"""Headings, and what a row has in each column; a column in which the total has nothing is left out."""
_WIDE_ONLY = {"Prompts at most", "Text tokens", "Image tokens"}
