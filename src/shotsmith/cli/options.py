"""Arguments and options that several verbs share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from shotsmith.errors import InputError
from shotsmith.visible import visible_json

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.", show_default=False)]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting: grpo.learning_rate=2e-5. Repeatable."),
]
Out = Annotated[Path | None, typer.Option(help="Run folder; runs/NAME if not given, NAME from the recipe.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Delete what the run folder holds and start anew.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no tables, only errors.")]


def recipe_in(given: Path, out: Path | None) -> tuple[Path, Path | None]:
    """The recipe and the run folder: of a run's folder its own recipe, and that folder.

    Raises InputError for any other folder, naming a recipe that it holds.
    """
    if not given.is_dir():
        return given, out
    if (given / "recipe.yaml").exists():
        return given / "recipe.yaml", out or given
    recipes = sorted([*given.glob("*.yaml"), *given.glob("*.yml")])
    advice = f"give a recipe, such as {recipes[0]}" if recipes else "give a recipe (a YAML file)"
    raise InputError(f"is a folder that holds no run to go on with (no recipe.yaml): {advice}", file=given)


def print_json(value: object) -> None:
    """Print pure JSON on stdout."""
    typer.echo(visible_json(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)))
