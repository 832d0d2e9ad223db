"""`shotsmith show`: where a run stands and what it has found."""

from __future__ import annotations

from shotsmith.cli.options import Json, RunFolder, print_json


def show(run: RunFolder, as_json: Json = False) -> None:
    """Show a run: status, stages, every epoch, the best epochs, the comparison on test queries.

    Example: shotsmith show runs/demo --json
    """
    from rich.console import Console

    from shotsmith import runs
    from shotsmith.cli.tables import contrasts_table, print_best, print_results, stages_table
    from shotsmith.cli.terminal import epoch_table

    shown = runs.show(runs.Run.open(run))
    if as_json:
        print_json(shown)
        return
    console = Console()
    console.print(f"[bold]{run}[/bold]: {shown['status']}", highlight=False, soft_wrap=True)
    if shown["stages"]:
        console.print(stages_table(shown["stages"]))
    if shown["epochs"]:
        console.print()
        console.print(epoch_table(shown["epochs"], console.width))
    for column, heading in (("val_reward", "Best epoch by val reward"), ("val_loss", "Best epoch by val loss")):
        if shown["best"][column]:
            print_best([shown["best"][column]], heading, console)
    console.print()
    print_results(shown, console)
    if shown["contrasts"]:
        console.print()
        console.print(contrasts_table(shown["contrasts"]))
