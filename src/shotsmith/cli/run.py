"""`shotsmith run`: a whole experiment, skipping what is done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shotsmith.cli.options import Fresh, Json, Out, Overrides, Quiet, RecipeFile, print_json, recipe_in

if TYPE_CHECKING:
    from shotsmith.completions.summary import FailedPrompts
    from shotsmith.runs import Run


def run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    out: Out = None,
    until: Annotated[str | None, typer.Option(help="Stop after this stage.", metavar="STAGE")] = None,
    like: Annotated[
        Path | None,
        typer.Option("--from", help="Take over data, embeddings, pools and beam data of a run made with the same."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out bad rows and images, counted and listed (data.skip_bad).")
    ] = False,
    fresh: Fresh = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Do everything a recipe says, from data to report; what is done already is skipped.

    It can be stopped at any time; the same command goes on where it stopped. So does `shotsmith run FOLDER`.
    The stages are data, embed, pools, beam, train, rank, evaluate and report.

    Example: shotsmith run recipes/demo.yaml --set grpo.learning_rate=2e-5 --out runs/slower
    """
    if skip_bad:
        overrides = [*(overrides or ()), "data.skip_bad=true"]
    go(recipe, overrides, out, until=until, like=like, fresh=fresh, as_json=as_json, quiet=quiet)


def go(
    recipe_file: Path,
    overrides: list[str] | None,
    out: Path | None,
    *,
    until: str | None,
    like: Path | None = None,
    fresh: bool = False,
    as_json: bool = False,
    quiet: bool = False,
) -> None:
    """Run a recipe up to a stage, then print what came of it."""
    from shotsmith.recipe import load_recipe

    recipe_file, out = recipe_in(recipe_file, out)
    recipe = load_recipe(recipe_file, overrides or ())

    from shotsmith import experiment
    from shotsmith.attempts import absent_folders, attempt
    from shotsmith.cli.terminal import listening
    from shotsmith.completions.summary import failed_prompts_of
    from shotsmith.errors import InputError
    from shotsmith.runs import Run, show
    from shotsmith.runs.stages import STAGE_NAMES

    if until is not None and until not in STAGE_NAMES:
        raise InputError(f"--until: no stage is called '{until}'; the stages are {', '.join(STAGE_NAMES)}")
    other = None if like is None else _other(like)
    folder = out or Path("runs") / recipe.name
    made = absent_folders(folder)
    run = Run.create(folder, recipe, fresh=fresh)
    with run.lock(), attempt(folder, made), listening(quiet) as progress:
        if other is not None:
            _take_over(run, other)
        if not quiet:
            _tell_what_is_done(run, list(STAGE_NAMES), until)
        experiment.run(recipe, run, progress, until)
    failed = failed_prompts_of(run)
    if as_json:
        print_json(show(run) | {"failed_prompts": failed and failed.as_json()})
    elif not quiet:
        _print_outcome(run.folder, show(run), failed)


def _other(folder: Path) -> Run:
    """The run to take over from. Raises InputError where there is none, before anything is made."""
    from shotsmith.errors import InputError
    from shotsmith.runs import Run

    if not (folder / "recipe.yaml").exists():
        what = "holds no run (it has no recipe.yaml)" if folder.is_dir() else "there is no such run"
        raise InputError(f"--from: {what}; looked for in {Path.cwd()}", file=folder)
    return Run.open(folder)


def _tell_what_is_done(run: Run, stages: list[str], until: str | None) -> None:
    """Say which stages are skipped, or that there is nothing to do."""
    wanted = stages[: stages.index(until) + 1] if until else stages
    done = [stage for stage in wanted if run.is_done(stage)]
    if done == wanted:
        typer.echo(f"Nothing to do: {', '.join(done)} are done in {run.folder}; --fresh starts anew", err=True)
    elif done:
        typer.echo(f"Skipped, as they are done in {run.folder}: {', '.join(done)}", err=True)


def _take_over(run: Run, other: Run) -> None:
    from shotsmith.experiment.adopt import adopt

    adopt(run, other)


def _print_outcome(folder: Path, shown: dict[str, Any], failed: FailedPrompts | None) -> None:
    from shotsmith.cli.console import Console
    from shotsmith.cli.tables import left_out_lines, print_failed, print_results, print_verdict
    from shotsmith.runs import Run

    console = Console()
    print_results(shown, console)
    for line in left_out_lines(shown["stages"]):
        console.print(line, highlight=False)
    run = Run.open(folder)
    for label, path in (("Report", run.report_html), ("Markdown", run.report_markdown)):
        if path.exists():
            console.print(f"{label}: {path}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"More: shotsmith show {folder}", soft_wrap=True, highlight=False, markup=False)
    print_failed(failed, console)
    print_verdict(shown, console)
