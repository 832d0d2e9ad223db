"""`shotsmith select`: the demonstrations to show for one query, or for a file of queries."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shotsmith.cli.options import Json, print_json
from shotsmith.cli.selecting import BankFile, Device, Source, ids_of, open_selector, shots_of
from shotsmith.errors import InputError
from shotsmith.reports.numbers import counted

if TYPE_CHECKING:
    from shotsmith.library.queries import Query
    from shotsmith.library.selection import Selection

_TOGETHER = 64
"""Queries of a file that are embedded and selected for together."""

Image = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="The query's image. Repeatable.", show_default=False)
]
Question = Annotated[str | None, typer.Option(help="The query's question.", show_default=False)]
Queries = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Many queries: JSON lines with 'question' and, perhaps, 'image', 'id' and 'exclude'; '-' for stdin. "
        "Image paths start from the file's folder. One JSON line is printed for each.",
        show_default=False,
    ),
]
ShotsOption = Annotated[str, typer.Option(metavar="N|auto", help="Number of demonstrations; auto: the policy decides.")]
PoolIds = Annotated[
    str | None,
    typer.Option("--pool", metavar="IDS", help="Show only these examples: ids with commas, or @FILE with one a line."),
]
Exclude = Annotated[str | None, typer.Option(metavar="IDS", help="Never show these examples; as --pool.")]
MaxTokens = Annotated[int | None, typer.Option(min=1, help="Most tokens of the prompt; the farthest are left out.")]
Messages = Annotated[
    bool, typer.Option("--messages", help="Print the chat messages to send to an OpenAI-compatible server, as JSON.")
]
Fallback = Annotated[bool, typer.Option("--fallback", help="Use similarity search where the query is unfamiliar.")]


def select(
    source: Source,
    image: Image = None,
    question: Question = None,
    queries: Queries = None,
    shots: ShotsOption = "4",
    bank: BankFile = None,
    pool: PoolIds = None,
    exclude: Exclude = None,
    max_tokens: MaxTokens = None,
    messages: Messages = False,
    fallback: Fallback = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Select demonstrations for a new query. The last one stands next to the query.

    Example: shotsmith select runs/demo --image a.jpg --question "What is it for?" --shots 4
    """
    if (question is None) == (queries is None):
        raise InputError("give one of --question and --queries", field="--question")
    if queries is not None and image:
        raise InputError(
            "--image belongs to --question; the images of --queries are named in the file", field="--image"
        )
    wanted = shots_of(shots)

    from shotsmith.cli.terminal import listening
    from shotsmith.library.queries import Query

    with listening(quiet=as_json or messages or queries is not None) as progress:
        selector = open_selector(source, bank, progress, device)
        allowed = ids_of(pool, selector.bank, "--pool")
        barred = ids_of(exclude, selector.bank, "--exclude") or ()

        def chosen(some: list[Query]) -> list[Selection]:
            return selector.select_many(
                some,
                shots=wanted,
                pool=allowed,
                max_tokens=max_tokens,
                unfamiliar="fallback" if fallback else "flag",
            )

        if question is not None:
            (one,) = chosen([Query(question, image or None, barred)])
            _tell(one, messages=messages, as_json=as_json)
            return
        assert queries is not None
        place = "stdin" if str(queries) == "-" else str(queries)
        for part in _parts(_read(queries)):
            try:
                found = chosen([Query(row["question"], row["image"], (*barred, *row["exclude"])) for row in part])
            except InputError as error:
                if error.row is None:
                    raise
                problem = error.problem if error.file is None else f"{error.problem}: {error.file}"
                line = part[int(error.row)]["line"]
                raise InputError(problem, file=place, row=line, field=error.field) from error
            for row, one in zip(part, found, strict=True):
                told = {"query": row["id"], "question": row["question"], **one.to_json()}
                typer.echo(json.dumps(told | ({"messages": one.messages()} if messages else {}), ensure_ascii=False))


def _tell(one: Selection, *, messages: bool, as_json: bool) -> None:
    if as_json:
        print_json(dict(one.to_json()) | ({"messages": one.messages()} if messages else {}))
    elif messages:
        print_json(one.messages())
    else:
        _print(one)


def _print(one: Selection) -> None:
    from rich.table import Table

    from shotsmith.cli.console import Console

    console = Console(markup=False, highlight=False)
    table = Table("id", "score", "question", "answer", box=None, pad_edge=False, header_style="bold")
    for name, score, example in zip(one.ids, one.scores, one.examples, strict=True):
        table.add_row(str(name), f"{score:.3f}", example.question, example.answer)
    if one.ids:
        console.print(table)
    tokens = "" if one.tokens is None else f", {counted(one.tokens, 'token')}"
    console.print(f"{counted(len(one.ids), 'demonstration')} chosen by {one.chosen_by}{tokens}", soft_wrap=True)
    if one.unfamiliar:
        console.print(
            f"The query is unfamiliar: its highest cosine with a training query is {one.familiarity:.2f}. "
            "--fallback uses similarity search for such queries.",
            soft_wrap=True,
        )


def _parts(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    left = iter(rows)
    while part := list(islice(left, _TOGETHER)):
        yield part


def _read(file: Path) -> Iterator[dict[str, Any]]:
    """Rows with 'line', 'id', 'question', 'image' and 'exclude'. Raises InputError naming file, line and field."""
    if str(file) == "-":
        yield from _rows(sys.stdin, "stdin", Path())
        return
    try:
        with file.expanduser().open(encoding="utf-8-sig") as lines:
            yield from _rows(lines, str(file), file.expanduser().parent)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", file=file) from error


def _rows(lines: Iterable[str], place: str, folder: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"is not JSON: {error}", file=place, row=number) from error
        if not isinstance(row, dict):
            raise InputError("is no JSON object", file=place, row=number)
        question, image, exclude = row.get("question"), row.get("image"), row.get("exclude", [])
        if not isinstance(question, str) or not question.strip():
            raise InputError("is missing, empty or no text", file=place, row=number, field="question")
        images = [] if image is None else image if isinstance(image, list) else [image]
        if not all(isinstance(one, str) for one in images):
            raise InputError("is neither a path nor a list of paths", file=place, row=number, field="image")
        if not isinstance(exclude, list):
            raise InputError("is no list of ids", file=place, row=number, field="exclude")
        yield {
            "line": number,
            "id": row.get("id", number),
            "question": question,
            "image": [folder / Path(one).expanduser() for one in images],
            "exclude": exclude,
        }
