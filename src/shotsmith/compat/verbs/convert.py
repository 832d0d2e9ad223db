"""`shotsmith convert`: checkpoints of Lever-Plus and ours, one into the other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shotsmith.cli.options import Json, Quiet, print_json
from shotsmith.errors import InputError

if TYPE_CHECKING:
    from shotsmith.compat.checkpoints.convert import Converted, Form

Source = Annotated[
    Path,
    typer.Argument(
        metavar="CHECKPOINT", help="A checkpoint's folder, or a .pt or .ckpt of Lever-Plus.", show_default=False
    ),
]
Target = Annotated[
    Path | None,
    typer.Argument(metavar="TARGET", help="What to write; beside the checkpoint if not given.", show_default=False),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="FORM",
        help="native (a folder), v3 (.pt), v2format (.ckpt), or v4 (a .pt of its later variants). "
        "By default what TARGET's name says; without a TARGET native.",
    ),
]
Like = Annotated[
    bool,
    typer.Option(
        "--like-predecessor",
        help="Write what its converter wrote: layers after the first are dropped, and are listed.",
    ),
]

Leave = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PREFIX", help="Leave behind weights whose names begin so, as lever_lm.img_model. Repeatable."
    ),
]

_SUFFIXES: dict[str, Form] = {".pt": "v3", ".ckpt": "v2format"}


def convert(
    source: Source,
    target: Target = None,
    to: To = None,
    like_predecessor: Like = False,
    leave: Leave = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Convert a checkpoint: v2, v3 or v2-format of Lever-Plus, or ours, to any of these, with equal scores.

    What the target cannot hold, or does not fit, is an error that lists it. Files are read without running anything
    in them.

    Example: shotsmith convert results/okvqa/model_cpk/v2/best.ckpt policies/v2 --json
    """
    if not source.exists():
        raise InputError("no such file", file=source)

    from shotsmith.compat.checkpoints import convert as checkpoints

    form = _form(to, target, like_predecessor)
    place = target or beside(source, form)
    done = checkpoints.convert(source, place, form, like_predecessor=like_predecessor, leave=leave or ())
    if as_json:
        print_json({"source": str(source), "target": str(place), "form": form, **as_plain(done)})
    elif not quiet:
        tell(done, place)


def beside(source: Path, form: Form) -> Path:
    """Where a conversion goes that was given no target."""
    endings = {"native": "", "v3": ".pt", "v4": "_v4.pt", "v2format": "_v2format.ckpt"}
    stem = source.name if source.is_dir() else source.stem
    if form == "native" and source.suffix == "":
        stem += "_native"
    return source.with_name(stem.removesuffix("_v2format") + endings[form])


def as_plain(done: Converted) -> dict[str, object]:
    """The outcome of a conversion as plain values."""
    return {
        "policy": done.policy.model_dump(mode="json"),
        "embedding_width": done.embedding_width,
        "weights": done.weights,
        "lost": list(done.lost),
        "left": list(done.left),
        "unknown": list(done.unknown),
    }


def tell(done: Converted, place: Path) -> None:
    """Say what was written, and everything that was not."""
    from shotsmith.cli.console import Console

    console = Console(soft_wrap=True, highlight=False, markup=False)
    layers = "1 layer" if done.policy.layers == 1 else f"{done.policy.layers} layers"
    shape = f"{layers}, memory {done.policy.memory}, embeddings of width {done.embedding_width}"
    console.print(f"{place}: {done.weights} weights ({shape})")
    if done.lost:
        console.print(f"Lost, as Lever-Plus's converter lost them: {', '.join(done.lost)}", style="bold yellow")
    if done.left:
        console.print(f"Left behind, as it says nothing of the policy: {', '.join(done.left)}")
    if done.unknown:
        console.print(f"Not known, and marked so: {', '.join(done.unknown)}")


def _form(to: str | None, target: Path | None, like_predecessor: bool) -> Form:
    from shotsmith.compat.checkpoints.convert import FORMS

    if to is not None:
        if to not in FORMS:
            raise InputError(f"there is no form '{to}'; there are: {', '.join(FORMS)}", field="--to")
        return to
    if target is None:
        return "v2format" if like_predecessor else "native"
    return _SUFFIXES.get(target.suffix, "native")
