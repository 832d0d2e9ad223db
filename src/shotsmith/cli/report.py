"""`shotsmith report`: the report of a run, or of a training log."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from shotsmith.cli.options import Json, Quiet, print_json
from shotsmith.errors import InputError
from shotsmith.visible import visible

if TYPE_CHECKING:
    from shotsmith.reports.write import Format

Source = Annotated[
    Path,
    typer.Argument(metavar="RUN|LOG", help="A run's folder, or a training log (text or Markdown).", show_default=False),
]
Against = Annotated[Path | None, typer.Option("--against", metavar="RUN|LOG", help="Another one, to be compared with.")]
Lang = Annotated[str, typer.Option("--lang", metavar="en|zh", help="Language of the report.")]
Form = Annotated[
    str | None,
    typer.Option("--format", metavar="md|html", help="Only this format.", show_default="both"),
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder of the report; the run's if not given, a log's own folder.")
]


Explore = Annotated[
    bool,
    typer.Option(
        "--explorer", help="Write the folder explorer/ too: every test query, on a page that opens without a server."
    ),
]


def report(
    source: Source,
    against: Against = None,
    lang: Lang = "en",
    form: Form = None,
    out: Out = None,
    explorer: Explore = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a report: Markdown, and one HTML page that opens offline. Neither VLM nor encoder is loaded.

    English goes to report.md and report.html, Chinese to report.zh.md and report.zh.html; of a log they are called
    after it. The explorer takes up to 64 MB for queries and pictures; `shotsmith view` shows the same page without a
    limit.

    Example: shotsmith report runs/demo --against runs/demo-slower --lang zh
    """
    from shotsmith.reports.gather import gather
    from shotsmith.reports.language import LANGUAGES
    from shotsmith.reports.write import FORMATS, write_report

    _one_of(LANGUAGES, lang, "--lang")
    if form is not None:
        _one_of(FORMATS, form, "--format")
    started = time.perf_counter()
    data = gather(source, against)
    formats = (cast("Format", form),) if form else tuple(FORMATS)
    stem = "report" if source.is_dir() else f"{source.stem}.report"
    folder = out or (source if source.is_dir() else source.parent)
    written = write_report(folder, data, lang, formats, stem)
    if source.is_dir():
        _record(source, time.perf_counter() - started)
    told: dict[str, object] = {name: str(path) for name, path in written.items()}
    lines = list(map(str, written.values()))
    if explorer:
        told["explorer"], line = _explorer(source, folder)
        lines.append(line)
    if as_json:
        print_json(told)
    elif not quiet:
        typer.echo(visible("\n".join(lines)))


def _explorer(source: Path, folder: Path) -> tuple[dict[str, object], str]:
    """Write the explorer of a run; what it came to, for scripts and as a line. Raises InputError for a log."""
    if not source.is_dir():
        raise InputError("takes a run's folder: a training log has no test queries", field="--explorer")
    try:
        from shotsmith.view.static_form import FOLDER, write_explorer
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is not installed: pip install 'shotsmith[serve]'") from error
    from shotsmith.runs import Run

    made = write_explorer(Run.open(source), folder / FOLDER)
    listed_only = f", {made.left_out:,} more are listed only" if made.left_out else ""
    line = f"{made.index} ({made.bytes / 1e6:.1f} MB, {made.queries:,} queries{listed_only})"
    counts = {"bytes": made.bytes, "queries": made.queries, "left_out": made.left_out}
    return {"index": str(made.index), **counts}, line


def _one_of(known: Collection[str], value: str, option: str) -> None:
    if value not in known:
        raise InputError(f"takes {' or '.join(known)}, not '{value}'", field=option)


def _record(folder: Path, seconds: float) -> None:
    """The first report after the evaluation ends the run."""
    from shotsmith.runs import Run
    from shotsmith.runs.stages import LAST_STAGE

    run = Run.open(folder)
    if run.is_done("evaluate") and not run.is_done(LAST_STAGE):
        with run.lock():
            run.record(LAST_STAGE, seconds, 0, 0)
