"""`shotsmith evaluate`: every selector on the test queries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shotsmith.cli.options import Json, Quiet, RunFolder, print_json

if TYPE_CHECKING:
    from shotsmith.completions.summary import FailedPrompts
    from shotsmith.recipe import Recipe
    from shotsmith.runs import Run


def evaluate(
    run: RunFolder,
    selections: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Evaluate these selections, of any system or of a server's log, beside the run's own."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of their row. Default: the file's.")] = None,
    vlm: Annotated[
        Path | None, typer.Option(metavar="RECIPE", help="Ask the VLM of this recipe instead of the run's.")
    ] = None,
    controls: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Add controls, with commas between them: blank_image,shuffled_labels,shuffled_order, or all.",
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare the trained policies with every training-free selector on the test queries, anew.

    Answers the VLM has given already are not asked again.

    Example: shotsmith evaluate runs/demo --json
    """
    from shotsmith import experiment, runs
    from shotsmith.cli.terminal import listening
    from shotsmith.completions.summary import failed_prompts_of
    from shotsmith.errors import InputError

    opened = runs.Run.open(run)
    if selections is not None and vlm is not None:
        raise InputError("--selections are evaluated with the run's own VLM, without --vlm")
    if controls is not None and (selections is not None or vlm is not None):
        raise InputError("--controls are those of the run's own evaluation, without --selections and --vlm")
    if selections is not None or vlm is not None:
        tables = _given(opened, selections, name, quiet) if selections is not None else _with(opened, vlm, quiet)
        failed = failed_prompts_of(opened)
        if as_json:
            print_json(tables | {"failed_prompts": failed and failed.as_json()})
        elif not quiet:
            _print_tables(tables, failed)
        return
    with opened.lock(), listening(quiet) as progress:
        experiment.stage(opened, "evaluate", progress, recipe=_with_controls(opened, controls))
    shown, failed = runs.show(opened), failed_prompts_of(opened)
    if as_json:
        kept = {key: shown[key] for key in ("test", "contrasts", "best_free", "validation", "recall", "copying")}
        print_json(kept | {"failed_prompts": failed and failed.as_json()})
    elif not quiet:
        _print_evaluation(shown, failed)


def _with_controls(run: Run, controls: str | None) -> Recipe:
    """The run's recipe, with the controls that `--controls` names where it is given."""
    from shotsmith.evaluation.controls import CONTROLS
    from shotsmith.recipe import parse_recipe

    if controls is None:
        return run.recipe
    names = CONTROLS if controls == "all" else [name.strip() for name in controls.split(",")]
    value = run.recipe.model_dump(mode="json")
    return parse_recipe({**value, "evaluation": {**value["evaluation"], "controls": names}})


def _given(run: Run, file: Path, name: str | None, quiet: bool) -> dict[str, Any]:
    from shotsmith.cli.terminal import listening
    from shotsmith.experiment.selections import evaluate_given

    with run.lock(), listening(quiet) as progress:
        return evaluate_given(run, file, progress, name=name)


def _with(run: Run, recipe: Path | None, quiet: bool) -> dict[str, Any]:
    from shotsmith.cli.terminal import listening
    from shotsmith.experiment.transfer import evaluate_with, vlm_of

    assert recipe is not None
    settings = vlm_of(recipe, run)
    with run.lock(), listening(quiet) as progress:
        return evaluate_with(run, settings, progress)


def _print_tables(tables: Mapping[str, Any], failed: FailedPrompts | None) -> None:
    from shotsmith.cli.console import Console
    from shotsmith.cli.tables import contrasts_table, print_failed, results_table
    from shotsmith.evaluation.served import told
    from shotsmith.reports.numbers import counted

    console = Console()
    console.print(results_table(tables["test"], console.width))
    if tables["contrasts"]:
        console.print(contrasts_table(tables["contrasts"]))
    if "log" in tables:
        console.print(f"Of the log, {told(tables['log'])}.", highlight=False)
    if excluded := len(tables["excluded"]):
        missing = counted(excluded, "selection is", "selections are")
        console.print(f"{missing} missing or without an answer; their queries are left out.")
    print_failed(failed, console)


def _print_evaluation(shown: dict[str, Any], failed: FailedPrompts | None) -> None:
    from shotsmith.cli.console import Console
    from shotsmith.cli.tables import contrasts_table, mean_contrasts, print_failed, print_results, print_verdict

    console = Console()
    print_results(shown, console)
    if shown["contrasts"]:
        console.print(contrasts_table(mean_contrasts(shown["contrasts"])))
    if (looks := len(shown["evaluations"])) > 1:
        console.print(
            f"The test queries were looked at {looks} times, with other policies each time: whoever chooses "
            "among these figures has fitted them."
        )
    print_failed(failed, console)
    print_verdict(shown, console)
