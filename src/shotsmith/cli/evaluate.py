"""`shotsmith evaluate`: every selector on the test queries."""

from __future__ import annotations

from shotsmith.cli.options import Json, Quiet, RunFolder, print_json


def evaluate(run: RunFolder, as_json: Json = False, quiet: Quiet = False) -> None:
    """Compare the trained policies with every training-free selector on the test queries, anew.

    Answers the VLM has given already are not asked again.

    Example: shotsmith evaluate runs/demo --json
    """
    from shotsmith import experiment, runs
    from shotsmith.cli.console import Console
    from shotsmith.cli.tables import contrasts_table, print_results, print_verdict
    from shotsmith.cli.terminal import listening

    opened = runs.Run.open(run)
    with opened.lock(), listening(quiet) as progress:
        experiment.stage(opened, "evaluate", progress)
    shown = runs.show(opened)
    if as_json:
        print_json({key: shown[key] for key in ("test", "contrasts", "best_free", "validation", "recall")})
    elif not quiet:
        console = Console()
        print_results(shown, console)
        if shown["contrasts"]:
            console.print(contrasts_table(shown["contrasts"]))
        if (looks := len(shown["evaluations"])) > 1:
            console.print(
                f"The test queries were looked at {looks} times, with other policies each time: whoever chooses "
                "among these figures has fitted them."
            )
        print_verdict(shown, console)
