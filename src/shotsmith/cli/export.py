"""`shotsmith export`: a selector and its bank as one folder that moves to another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shotsmith.cli.options import Json, Quiet, print_json
from shotsmith.cli.selecting import BankFile, Source, open_selector

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write.", show_default=False)]
Images = Annotated[bool, typer.Option("--images", help="Copy the bank's images, which messages need elsewhere.")]
EncoderCopy = Annotated[
    bool | None,
    typer.Option(
        "--encoder/--no-encoder",
        help="Copy the encoder. By default one that is a folder of this machine is copied.",
        show_default=False,
    ),
]


def export(
    source: Source,
    folder: Folder,
    images: Images = False,
    encoder: EncoderCopy = None,
    bank: BankFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a selector, its bank and its embeddings into one folder, which `select` and `serve` take anywhere.

    A selector that was in the folder is replaced; a folder with anything else is refused.

    Example: shotsmith export runs/demo selectors/demo --images
    """
    from shotsmith.cli.terminal import listening

    with listening(quiet=quiet or as_json) as progress:
        selector = open_selector(source, bank, progress)
        selector.save(folder, images=images, encoder=encoder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    told = {
        "folder": str(folder),
        "selector": selector.name,
        "examples": len(selector),
        "files": len(files),
        "bytes": size,
    }
    if as_json:
        print_json(told)
    elif not quiet:
        from shotsmith.cli.console import Console
        from shotsmith.reports.numbers import counted

        Console(markup=False, highlight=False, soft_wrap=True).print(
            f"{folder}: the selector {selector.name} and {counted(len(selector), 'example')}, "
            f"{counted(len(files), 'file')}, {size / 1e6:.1f} MB"
        )
