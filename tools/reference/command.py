"""The page of the command `shotsmith`: the help of every verb."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command

from reference.markdown import cell, code, table
from shotsmith.cli import app

HEAD = """# The command

`shotsmith VERB --help` prints what this page says of a verb; the page is written from the code.

Exit codes: 0 done, 1 failed, 2 bad usage, recipe or input, 130 stopped by the user.
"""


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for name, verb in verbs():
        parts += [f"{'#' * (1 + len(name.split()))} `shotsmith {name}`\n"]
        parts += list(_verb(name, verb))
    return "\n".join(parts)


def verbs() -> Iterator[tuple[str, Any]]:
    """Every verb with its name, groups followed by what they hold."""
    yield from _inside(get_command(app), ())


def _inside(group: Any, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, verb in group.commands.items():
        yield " ".join([*names, name]), verb
        if hasattr(verb, "commands"):
            yield from _inside(verb, (*names, name))


def _verb(name: str, verb: Any) -> Iterator[str]:
    text, _, example = (verb.help or "").partition("Example: ")
    yield _prose(text) + "\n"
    context = typer.Context(verb, info_name=f"shotsmith {name}")
    usage = " ".join([f"shotsmith {name}", *verb.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```\n"
    if example:
        yield f"Example:\n\n```text\n{' '.join(example.split())}\n```\n"
    records = (one.get_help_record(context) for one in verb.params)
    rows = [[cell(code(names.strip())), cell(_prose(text))] for names, text in filter(None, records)]
    if rows:
        yield table(["argument or option", "meaning"], rows) + "\n"


def _prose(text: str) -> str:
    """A help text as Markdown: paragraphs stay, and what looks like HTML is shown as it is."""
    return re.sub(r"<(\w+)>", r"&lt;\1&gt;", text.strip())
