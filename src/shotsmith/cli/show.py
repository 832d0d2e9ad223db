"""`shotsmith show`: where a run stands and what it has found."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shotsmith.cli.options import Json, RunFolder, print_json

if TYPE_CHECKING:
    from shotsmith.cli.console import Console
    from shotsmith.completions.summary import FailedPrompts


def show(
    run: RunFolder,
    epochs: Annotated[bool, typer.Option("--epochs", help="Also print every epoch and the best of them.")] = False,
    as_json: Json = False,
) -> None:
    """Show a run: status, the comparison on test queries, the best epochs, stages; the verdict is the last line.

    What does not fit the screen is paged. Differences at every number of shots are in the report and in --json.

    Example: shotsmith show runs/demo --epochs
    """
    from shotsmith import runs
    from shotsmith.cli.console import Console
    from shotsmith.completions.summary import failed_prompts_of

    opened = runs.Run.open(run)
    failed = failed_prompts_of(opened)
    shown = runs.show(opened) | {"failed_prompts": failed and failed.as_json()}
    if as_json:
        print_json(shown)
        return
    console = Console()
    long = epochs and console.is_terminal and len(shown["epochs"]) > console.height
    with console.pager() if long else nullcontext():
        _print(shown, failed, console, with_epochs=epochs)


def _print(shown: Mapping[str, Any], failed: FailedPrompts | None, console: Console, *, with_epochs: bool) -> None:
    from shotsmith.cli.tables import (
        contrasts_table,
        left_out_lines,
        mean_contrasts,
        print_failed,
        print_results,
        print_verdict,
        stages_table,
        stopped_lines,
    )

    console.print(str(shown["run"]), style="bold", end="", highlight=False, soft_wrap=True)
    console.print(f": {shown['status']}", highlight=False, soft_wrap=True)
    for line in stopped_lines(shown):
        console.print(line, highlight=False, soft_wrap=True)
    console.print()
    print_results(shown, console)
    if (looks := len(shown["evaluations"])) > 1:
        console.print(f"{looks} different sets of checkpoints were evaluated on these queries", highlight=False)
    if shown["contrasts"]:
        console.print()
        console.print(contrasts_table(mean_contrasts(shown["contrasts"])))
    if shown["epochs"]:
        console.print()
        _print_epochs(shown, console, with_epochs=with_epochs)
    if shown["stages"]:
        console.print()
        console.print(stages_table(shown["stages"]))
        for line in left_out_lines(shown["stages"]):
            console.print(line, highlight=False)
    console.print()
    print_failed(failed, console)
    print_verdict(shown, console)


def _print_epochs(shown: Mapping[str, Any], console: Console, *, with_epochs: bool) -> None:
    """Every epoch and the best of them, or a line of each."""
    from shotsmith.cli.tables import best_lines, print_best
    from shotsmith.cli.terminal import epoch_table

    if not with_epochs:
        for line in best_lines(shown):
            console.print(line, highlight=False)
        console.print("Every epoch: --epochs", highlight=False)
        return
    console.print(epoch_table(shown["epochs"], console.width))
    for column, heading in (("val_reward", "Best epoch by val reward"), ("val_loss", "Best epoch by val loss")):
        if shown["best"][column]:
            print_best([shown["best"][column]], heading, console)
