"""`shotsmith report`: the report, written anew."""

from __future__ import annotations

import typer

from shotsmith.cli.options import Json, Quiet, RunFolder, print_json


def report(run: RunFolder, as_json: Json = False, quiet: Quiet = False) -> None:
    """Write the report of a run anew: Markdown, and one HTML page that opens offline.

    Example: shotsmith report runs/demo
    """
    from shotsmith import experiment, runs
    from shotsmith.cli.terminal import listening

    opened = runs.Run.open(run)
    with opened.lock(), listening(quiet) as progress:
        experiment.stage(opened, "report", progress)
    paths = {"html": str(opened.report_html), "markdown": str(opened.report_markdown)}
    if as_json:
        print_json(paths)
    elif not quiet:
        typer.echo("\n".join(paths.values()))
