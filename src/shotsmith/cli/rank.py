"""`shotsmith rank`: the ten best epochs."""

from __future__ import annotations

from shotsmith.cli.options import Json, Quiet, RunFolder, print_json


def rank(run: RunFolder, as_json: Json = False, quiet: Quiet = False) -> None:
    """Rank the epochs anew: the ten best by reward on validation queries and, beside it, by validation loss.

    Example: shotsmith rank runs/demo
    """
    from shotsmith import experiment, runs
    from shotsmith.cli.console import Console
    from shotsmith.cli.tables import print_best
    from shotsmith.cli.terminal import listening
    from shotsmith.files import read_json

    opened = runs.Run.open(run)
    with opened.lock(), listening(quiet) as progress:
        experiment.stage(opened, "rank", progress)
    if as_json:
        print_json(read_json(opened.ranking))
    elif not quiet:
        ranking, console = read_json(opened.ranking), Console()
        print_best(ranking["val_reward"], "Ten best epochs by val reward", console)
        print_best(ranking["val_loss"], "Ten best epochs by val loss", console)
