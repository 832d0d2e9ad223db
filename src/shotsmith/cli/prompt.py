"""`shotsmith prompt`: exactly what the VLM is sent for one query."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shotsmith.cli.options import Json, Overrides, print_json
from shotsmith.reports.numbers import counted

if TYPE_CHECKING:
    from shotsmith.recipe import Recipe


def prompt(
    source: Annotated[Path, typer.Argument(metavar="RECIPE|RUN", help="A recipe, or the folder of a run.")],
    query: Annotated[int, typer.Option(help="Number of the query in its split, from 0.")] = 0,
    shots: Annotated[int, typer.Option(help="Demonstrations shown.")] = 4,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    selector: Annotated[str, typer.Option(help="Who chooses them: any selector that needs no training.")] = "random",
    ids: Annotated[bool, typer.Option("--ids", help="The ids of the tokens too.")] = False,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Print the prompt of one query: its text, its length in tokens, its images with their grids and tokens.

    It is the prompt that an evaluation sends. The VLM's weights are not loaded. A run is only read; for a recipe, or
    a run that is not so far yet, data and pools are made in a temporary folder.

    Example: shotsmith prompt recipes/demo.yaml --query 3 --shots 4 --set vlm.prompt.layout=multi_turn
    """
    import tempfile

    from shotsmith.cli.terminal import listening
    from shotsmith.errors import InputError
    from shotsmith.experiment.parts import Parts
    from shotsmith.experiment.prompting import PromptSender, prompt_of
    from shotsmith.runs import SPLITS, Run

    if split not in SPLITS:
        raise InputError(f"no split is called '{split}'; there are {', '.join(SPLITS)}", field="--split")
    recipe = _recipe(source, overrides)
    has_all = source.is_dir() and not overrides and Run.open(source).is_done("pools")
    with tempfile.TemporaryDirectory() as temporary, listening(quiet=as_json) as progress:
        run = Run.open(source) if has_all else Run.create(Path(temporary) / recipe.name, recipe)
        with Parts(recipe, run, progress) as parts:
            if not has_all:
                parts.make_data()
            fitted = prompt_of(parts, split, query, shots, selector)
            shown = PromptSender(recipe.vlm).shown(fitted, ids=ids)
    told = {"split": split, "selector": selector, **shown}
    if as_json:
        print_json(told)
    else:
        _print(told)


def _recipe(source: Path, overrides: list[str] | None) -> Recipe:
    from shotsmith.recipe import load_recipe
    from shotsmith.runs import Run

    return load_recipe(Run.open(source).recipe_file if source.is_dir() else source, overrides or ())


def _print(told: dict[str, Any]) -> None:
    from rich.table import Table

    from shotsmith.cli.console import Console

    console = Console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    shown = ", ".join(map(str, told["demonstrations"])) or "none"
    say(f"Query {told['query']} of the {told['split']} split; demonstrations chosen by {told['selector']}: {shown}")
    if told["left_out"] or told["without_image"]:
        say(f"The budget left out {told['left_out']} more, and has {told['without_image']} shown without their images")
    say("")
    if "messages" in told:
        print_json(told["messages"])
        return
    say(told["text"])
    say("")
    bound = f"; the VLM's context holds {told['most_tokens']} with an answer" if told["most_tokens"] else ""
    of_images = sum(image["tokens"] for image in told["images"])
    say(f"{counted(told['tokens'], 'token')}, of which {of_images} are of images{bound}")
    table = Table("image", "size", "grid", "tokens", box=None, pad_edge=False, header_style="bold")
    for image in told["images"]:
        grid = " x ".join(map(str, image["grid"])) if image["grid"] else "-"
        table.add_row(Path(image["file"]).name, f"{image['width']} x {image['height']}", grid, str(image["tokens"]))
    if told["images"]:
        console.print(table)
    if "ids" in told:
        say(" ".join(map(str, told["ids"])))
