"""The selector that a verb is given, its bank, and lists of ids on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shotsmith.errors import InputError

if TYPE_CHECKING:
    from shotsmith.library.bank import Bank, Id
    from shotsmith.library.selector import Selector
    from shotsmith.progress import Progress

Source = Annotated[
    str,
    typer.Argument(
        metavar="RUN_OR_DIR",
        help="A run, an exported selector, a checkpoint, a repository on the Hub, or the name of a selector that needs "
        "no training (mixed, image_similar, ...).",
        show_default=False,
    ),
]
BankFile = Annotated[
    Path | None,
    typer.Option(
        "--bank",
        metavar="FILE",
        help="Choose from this table (JSONL, JSON, CSV, TSV, Parquet) instead of the bank that it was trained with.",
    ),
]
Device = Annotated[str, typer.Option(help="Where the policy runs: auto, cpu, cuda:0, ...")]


def open_selector(source: str, bank: Path | None, progress: Progress, device: str = "auto") -> Selector:
    """The selector that `source` names, with its bank indexed.

    Raises InputError where there is no such selector, or it has no bank.
    """
    from shotsmith.library.load import load, selector
    from shotsmith.selectors.training_free import TRAINING_FREE

    is_free = source in TRAINING_FREE and not Path(source).exists()
    if is_free and bank is None:
        raise InputError(f"the selector '{source}' brings no bank along: name a table", field="--bank")
    found = selector(source) if is_free else load(source, device=device)
    return found.index(bank, progress=progress)


def shots_of(text: str) -> int | Literal["auto"]:
    """A number of demonstrations, or 'auto'."""
    if text == "auto":
        return "auto"
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(f"is neither a whole number nor 'auto': {text!r}", field="--shots")
    return int(text)


def ids_of(text: str | None, bank: Bank, option: str) -> tuple[Id, ...] | None:
    """The ids in a list with commas, or in a file with one on each line (`@FILE`), as the bank has them.

    Raises InputError naming the option and the first id that is not in the bank.
    """
    if text is None:
        return None
    if text.startswith("@"):
        try:
            named = Path(text[1:]).expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read: {error}", file=text[1:], field=option) from error
    else:
        named = text.split(",")
    known = {str(one): one for one in bank.ids}
    wanted = [one.strip() for one in named if one.strip()]
    for one in wanted:
        if one not in known:
            raise InputError(f"the bank has no example with the id {one!r}", field=option)
    return tuple(known[one] for one in wanted)
