"""`shotsmith import`: files of Lever-Plus become records of ours; and what is wrong in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shotsmith.cli.options import Json, print_json
from shotsmith.errors import InputError

if TYPE_CHECKING:
    from shotsmith.cli.console import Console

Files = Annotated[
    list[Path] | None,
    typer.Argument(metavar="FILE", help="Files of Lever-Plus, in any order.", show_default=False),
]
Into = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where to write the records.")]
Questions = Annotated[Path | None, typer.Option(help="The questions file of the train split (or the merged one).")]
Annotations = Annotated[Path | None, typer.Option(help="Its annotations file.")]
Images = Annotated[Path | None, typer.Option(help="Its folder of images; without it, images are not looked for.")]
Form = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="FORMAT",
        help="Format of all FILEs, where their content does not show it: rl, beam, candidates, anchors, embeddings, "
        "metrics, log, questions, annotations or merged.",
    ),
]
Audit = Annotated[bool, typer.Option("--audit", help="List what is wrong in the files.")]


def import_(
    files: Files = None,
    into: Into = None,
    questions: Questions = None,
    annotations: Annotations = None,
    images: Images = None,
    form: Form = None,
    audit: Audit = False,
    as_json: Json = False,
) -> None:
    """Read Lever-Plus's files: data set, sampler caches, beam and RL data, embeddings, metrics, training logs.

    Each file's format is seen from its content. What no file says (VLM, decoding) is marked unknown; failed and
    fallback-scored rows are kept, and nothing is learned from them. A file that cannot be read is listed, and the
    others are imported. Train on it with --set rollouts=FOLDER.

    Example: shotsmith import rl_data.json query_embeddings.pt --into imported --audit
    """
    from shotsmith.cli.console import Console
    from shotsmith.cli.terminal import listening
    from shotsmith.compat.files.assemble import assemble, read_examples, read_readable
    from shotsmith.compat.files.audit import audit as spot
    from shotsmith.compat.files.folder import counts, write_imported
    from shotsmith.compat.files.recognise import QUESTIONS, Source
    from shotsmith.errors import DataError

    if into is None and not audit:
        raise InputError("say where to (--into FOLDER), or what is wrong is to be listed (--audit)")
    if annotations is not None and questions is None:
        raise InputError("is given without --questions", field="--annotations")
    if not files and questions is None:
        raise InputError("there is nothing to import", field="FILE")
    with listening(quiet=as_json) as progress:
        sources, unreadable = read_readable(files or (), form, progress)
    if questions is not None:
        sources.append(Source(questions, "questions" if annotations else "merged", None))
    if annotations is not None:
        sources.append(Source(annotations, "annotations", None))
    try:
        examples = read_examples(sources, images)
    except DataError as error:
        if all(source.format in QUESTIONS for source in sources):
            raise
        unreadable.append(error)
        examples, sources = (), [source for source in sources if source.format not in QUESTIONS]
    imported = assemble(sources, examples)
    faults = spot(sources, imported) if audit else []
    listed = [(source.file, source.format) for source in sources]
    failed = [{"file": error.file, "problem": str(error)} for error in unreadable]
    manifest = None if into is None else write_imported(into, imported, listed, failed)
    if as_json:
        found = {"into": None if into is None else str(into), "counts": counts(imported), "manifest": manifest}
        print_json(found | {"unreadable": failed, "audit": faults if audit else None})
        return
    console = Console(highlight=False)
    _print_sources(listed, counts(imported), console)
    for each in failed:
        typer.secho(f"Not read: {each['problem']}", fg="yellow", err=True)
    if audit:
        _print_audit(faults, console)
        for file in (file for file, form in listed if form == "log"):
            console.print(f"What its epochs show: shotsmith diagnose {file}", soft_wrap=True, markup=False)
    if into is not None:
        console.print(f"Records: {into}", soft_wrap=True, markup=False)
        console.print(f"Train on them: shotsmith run RECIPE --set rollouts={into}", soft_wrap=True, markup=False)


def _print_sources(sources: Iterable[tuple[Path, str]], counted: Mapping[str, Any], console: Console) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("Format", no_wrap=True)
    table.add_column("File", overflow="fold")
    for file, form in sources:
        table.add_row(form, str(file))
    console.print(table)
    console.print()
    for name, count in counted.items():
        for said in _lines(name.replace("_", " "), count):
            console.print(said, markup=False)


def _lines(name: str, count: object) -> Iterable[str]:
    if isinstance(count, Mapping):
        return [f"{name}: {key} {value}" for key, value in count.items()]
    return [f"{name}: {count}"] if count else []


def _print_audit(faults: Iterable[Mapping[str, Any]], console: Console) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    faults = list(faults)
    console.print()
    if not faults:
        console.print("Nothing found: no check sees a fault in these files.")
    for file in dict.fromkeys(fault["file"] for fault in faults):
        there = [fault for fault in faults if fault["file"] == file]
        console.print(Text(file, style="bold"), soft_wrap=True)
        table = Table(box=None, pad_edge=False)
        table.add_column("Finding", no_wrap=True)
        table.add_column("Count", justify="right")
        table.add_column("Of", justify="right")
        table.add_column("Examples")
        for fault in there:
            table.add_row(fault["finding"], str(fault["count"]), str(fault["of"]), Text("; ".join(fault["examples"])))
        console.print(table)
        for fault in there:
            console.print(Padding(Text(f"{fault['finding']}: {fault['means']}", style="dim"), (0, 0, 0, 2)))
        console.print()
