"""`shotsmith selections`: which demonstrations a selector shows, as a file for other systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shotsmith.cli.options import Json, Quiet, RunFolder, print_json
from shotsmith.reports.numbers import counted


def selections(
    run: RunFolder,
    out: Annotated[Path, typer.Option(help="The file to write, JSON lines.")],
    split: Annotated[str, typer.Option(help="test or val.")] = "test",
    selector: Annotated[
        str | None, typer.Option(help="A phase or a training-free selector. Default: the last phase.")
    ] = None,
    material: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also write the queries and the bank, to choose from.")
    ] = None,
    lm_eval: Annotated[
        Path | None, typer.Option("--lm-eval", metavar="FOLDER", help="Also write them as tasks of lm-eval.")
    ] = None,
    lmms_eval: Annotated[
        Path | None, typer.Option("--lmms-eval", metavar="FOLDER", help="Also write them as tasks of lmms-eval.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write which demonstrations each query is shown, by id and content, at every number of shots.

    `shotsmith evaluate RUN --selections FILE` evaluates such a file, whoever wrote it.

    Example: shotsmith selections runs/demo --out selections.jsonl
    """
    from shotsmith.cli.console import Console
    from shotsmith.cli.terminal import listening
    from shotsmith.errors import InputError
    from shotsmith.experiment.selections import write_material, write_selections
    from shotsmith.integrations.harness import write_tasks
    from shotsmith.runs import SPLITS, Run

    chosen = next((one for one in SPLITS[1:] if one == split), None)
    if chosen is None:
        raise InputError(f"is one of {', '.join(SPLITS[1:])}, not '{split}'", field="--split")
    if chosen != "test" and not lm_eval is lmms_eval is None:
        raise InputError("tasks are written of the test queries", field="--split")
    opened = Run.open(run)
    with opened.lock(), listening(quiet) as progress:
        lines = write_selections(opened, out, progress, split=chosen, selector=selector)
        if material is not None:
            write_material(opened, material, progress, split=chosen)
        tasks = {}
        if lm_eval is not None:
            tasks["lm_eval"] = write_tasks(opened, out, lm_eval, "lm_eval", progress)
        if lmms_eval is not None:
            tasks["lmms_eval"] = write_tasks(opened, out, lmms_eval, "lmms_eval", progress)
        written = {"tasks": tasks, "selections": str(out), "lines": lines}
    if as_json:
        print_json(written)
    elif not quiet:
        Console().print(f"{counted(lines, 'selection')}: {out}", highlight=False, soft_wrap=True, markup=False)
