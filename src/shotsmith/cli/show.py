"""`shotsmith show`: where a run stands and what it has found."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from shotsmith.cli.options import Json, RunFolder, print_json

if TYPE_CHECKING:
    from shotsmith.cli.console import Console
    from shotsmith.completions.summary import FailedPrompts


def show(run: RunFolder, as_json: Json = False) -> None:
    """Show a run: status, stages, every epoch, the best epochs, the comparison on test queries.

    What does not fit the screen is paged.

    Example: shotsmith show runs/demo --json
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
    long = console.is_terminal and len(shown["epochs"]) > console.height
    with console.pager() if long else nullcontext():
        _print(shown, failed, console)


def _print(shown: Mapping[str, Any], failed: FailedPrompts | None, console: Console) -> None:
    from shotsmith.cli.tables import (
        contrasts_table,
        left_out_lines,
        print_best,
        print_failed,
        print_results,
        print_verdict,
        stages_table,
        stopped_lines,
    )
    from shotsmith.cli.terminal import epoch_table

    console.print(str(shown["run"]), style="bold", end="", highlight=False, soft_wrap=True)
    console.print(f": {shown['status']}", highlight=False, soft_wrap=True)
    for line in stopped_lines(shown):
        console.print(line, highlight=False, soft_wrap=True)
    if shown["stages"]:
        console.print(stages_table(shown["stages"]))
        for line in left_out_lines(shown["stages"]):
            console.print(line, highlight=False)
    if shown["epochs"]:
        console.print()
        console.print(epoch_table(shown["epochs"], console.width))
    for column, heading in (("val_reward", "Best epoch by val reward"), ("val_loss", "Best epoch by val loss")):
        if shown["best"][column]:
            print_best([shown["best"][column]], heading, console)
    console.print()
    print_results(shown, console)
    if (looks := len(shown["evaluations"])) > 1:
        console.print(f"{looks} different sets of checkpoints were evaluated on these queries", highlight=False)
    if shown["contrasts"]:
        console.print()
        console.print(contrasts_table(shown["contrasts"]))
    print_failed(failed, console)
    print_verdict(shown, console)
