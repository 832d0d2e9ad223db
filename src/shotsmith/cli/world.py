"""`shotsmith world make`: the built-in data set, drawn into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shotsmith.cli.options import Json, Quiet, print_json

app = typer.Typer(name="world", help="The built-in data set. Example: shotsmith world make worlds/7 --seed 7")


@app.callback()
def _world() -> None:
    """Keep `make` a verb of its own, though it is the only one."""


@app.command()
def make(
    folder: Annotated[Path, typer.Argument(help="Where to write it.", show_default=False)],
    seed: Annotated[int | None, typer.Option(help="Which world: its facts, artefacts and pictures.")] = None,
    train: Annotated[int | None, typer.Option(min=1, help="Examples of the train split.")] = None,
    val: Annotated[int | None, typer.Option(min=1, help="Examples of the validation split.")] = None,
    test: Annotated[int | None, typer.Option(min=1, help="Examples of the test split.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw a world in OK-VQA's official layout: questions, annotations, images; train, val and test.

    What is not given is as in a recipe that says nothing of it.

    Example: shotsmith world make worlds/7 --seed 7 --train 2000 --val 200 --test 400
    """
    from shotsmith.cli.terminal import listening
    from shotsmith.data.world import make_world
    from shotsmith.recipe import WorldSettings

    given = {"seed": seed, "train": train, "val": val, "test": test}
    settings = WorldSettings.model_validate({key: value for key, value in given.items() if value is not None})
    with listening(quiet) as progress:
        make_world(folder, settings, progress)
    if as_json:
        print_json({"folder": str(folder), **settings.model_dump()})
    elif not quiet:
        typer.echo(f"World {settings.seed} is in {folder}")
