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
    preset: Annotated[str | None, typer.Option(help="'first': the world of the first version.")] = None,
    bank: Annotated[int | None, typer.Option(min=0, help="Examples that can be shown; 0: the train split.")] = None,
    train: Annotated[int | None, typer.Option(min=1, help="Examples of the train split.")] = None,
    val: Annotated[int | None, typer.Option(min=1, help="Examples of the validation split.")] = None,
    test: Annotated[int | None, typer.Option(min=1, help="Examples of the test split.")] = None,
    artefacts: Annotated[str | None, typer.Option(help="How many artefacts there are: all (64) or few (15).")] = None,
    direct_answers: Annotated[
        bool | None, typer.Option("--direct-answers/--no-direct-answers", help="Composite answers in the bank.")
    ] = None,
    careless_sources: Annotated[
        int | None, typer.Option(min=0, max=2, help="Backgrounds whose records are mostly wrong.")
    ] = None,
    near_duplicates: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of the bank that repeats another record's scene.")
    ] = None,
    changing_keepers: Annotated[
        bool | None, typer.Option("--changing-keepers/--no-changing-keepers", help="Keepers change: order matters.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw a world in OK-VQA's official layout: questions, annotations, images; bank, train, val and test.

    What is not given is as in a recipe that says nothing of it. docs/world.md explains the difficulties.

    Example: shotsmith world make worlds/7 --seed 7 --bank 2000 --careless-sources 0
    """
    from shotsmith.cli.terminal import listening
    from shotsmith.data.world import make_world
    from shotsmith.recipe import parse_recipe
    from shotsmith.visible import visible

    options: dict[str, object] = {
        "seed": seed,
        "preset": preset,
        "train": train,
        "val": val,
        "test": test,
        "artefacts": artefacts,
        "direct_answers": direct_answers,
        "careless_sources": careless_sources,
        "near_duplicates": near_duplicates,
        "changing_keepers": changing_keepers,
    }
    given = {key: value for key, value in options.items() if value is not None}
    if bank is not None:
        given["bank"] = bank or None
    settings = parse_recipe({"data": {"world": given}}).data.world
    assert settings is not None
    with listening(quiet) as progress:
        make_world(folder, settings, progress)
    if as_json:
        print_json({"folder": str(folder), **settings.model_dump()})
    elif not quiet:
        typer.echo(visible(f"World {settings.seed} is in {folder}"))
