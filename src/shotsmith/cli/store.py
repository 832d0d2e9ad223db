"""`shotsmith store`: what a store of completions holds; check, export and merge stores."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from shotsmith.cli.options import Json, Quiet, print_json
from shotsmith.reports.numbers import counted

if TYPE_CHECKING:
    from shotsmith.completions.store import Store

_SHOW = "show"


class _Or(typer.core.TyperGroup):
    """`shotsmith store PATH` is short for `shotsmith store show PATH`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "-h", "--help"}:
            args = [_SHOW, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Or,
    name="store",
    help="A store of completions: `shotsmith store PATH` shows what it holds; check, export and merge stores.\n\n"
    "Example: shotsmith store runs/demo --json",
    no_args_is_help=True,
)

Place = Annotated[
    Path, typer.Argument(metavar="PATH|RUN", help="A store's file, or the folder of a run.", show_default=False)
]


@app.command(_SHOW)
def show(place: Place, as_json: Json = False) -> None:
    """Show a store: completions, log-probabilities, bytes, VLM calls by origin, failures by reason.

    Example: shotsmith store runs/demo --json
    """
    from shotsmith.completions.summary import overview

    with _existing(place) as store:
        found = asdict(overview(store)) | {"store": str(store.path)}
        found |= {"unpaid": _unpaid(place, store)}
    for told_of_losses in ("missing", "unpaid"):
        if not found[told_of_losses]:
            del found[told_of_losses]
    if as_json:
        print_json(found)
        return
    _say(
        f"{found['store']}: {counted(found['completions'], 'completion')} ({found['texts']:,} with text"
        f"{f', {cut:,} of them cut off at the most tokens' if (cut := found['truncated']) else ''}), "
        f"{found['log_probs']:,} log-probabilities, {found['bytes']:,} bytes"
    )
    _say_counts("VLM calls by", "origin", found["calls"])
    _say_counts("failures by", "reason", found["failures"])
    _say_counts("missing, though once stored, of", "origin", found.get("missing", {}))
    for stage, count in found.get("unpaid", {}).items():
        _say(f"  the stage {stage} paid for {count:,} VLM calls that are not in this store")


@app.command()
def verify(place: Place, as_json: Json = False) -> None:
    """Read the whole of a store and check how it is built; exit code 1 where it is damaged.

    Example: shotsmith store verify runs/demo/completions.sqlite
    """
    with _existing(place) as store:
        store.verify()
        completions = store.completions()
        found = {"store": str(store.path), "sound": True, "completions": completions}
    if as_json:
        print_json(found)
    else:
        _say(f"{found['store']}: is sound; {counted(completions, 'completion')}")


@app.command()
def export(
    place: Place,
    out: Annotated[Path, typer.Argument(metavar="OUT.parquet", help="Where to write it.", show_default=False)],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a store to a Parquet file: key, text, log-probabilities, origin, truncated.

    Example: shotsmith store export runs/demo completions.parquet
    """
    from shotsmith.cli.terminal import listening
    from shotsmith.completions.transfer import export

    with listening(quiet=quiet or as_json) as progress, _existing(place) as store:
        count = export(store, out, progress)
    if as_json:
        print_json({"store": str(store.path), "out": str(out), "completions": count})
    elif not quiet:
        _say(f"{out}: {counted(count, 'completion')}")


@app.command()
def merge(
    into: Annotated[Path, typer.Argument(metavar="INTO", help="The store that takes; made if absent.")],
    sources: Annotated[list[Path], typer.Argument(metavar="FROM...", help="Stores or runs that are taken in.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take stores into another: completions, log-probabilities, calls by origin, failures.

    Of two texts for one key the one that is there stays, and the conflict is counted. It can be stopped and repeated:
    nothing is counted twice.

    Example: shotsmith store merge shared.sqlite runs/a runs/b
    """
    from shotsmith.cli.terminal import listening
    from shotsmith.completions.store import Store
    from shotsmith.completions.transfer import merge

    paths = [_file(source) for source in sources]
    done: list[dict[str, Any]] = []
    target = _within(into)
    with listening(quiet=quiet or as_json) as progress, Store.open(target) as store:
        for path in paths:
            with _source(path) as source:
                done.append({"from": str(path)} | asdict(merge(store, source, progress)))
    if as_json:
        print_json({"into": str(target), "merged": done})
        return
    for one in [] if quiet else done:
        _say(f"{one['from']}: {counted(one['read'], 'completion')} read, {one['added']:,} added")
        if one["conflicts"] or one["conflicting_log_probs"]:
            _say(
                f"  {one['conflicts']:,} other texts and {one['conflicting_log_probs']:,} other log-probabilities were "
                f"left out, the first under {one['first_conflict']}"
            )


def _existing(place: Path) -> Store:
    return _source(_file(place))


def _source(path: Path) -> Store:
    """A store to take from; one that cannot be written to stays as it is."""
    from shotsmith.completions.store import Store

    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return Store.open(path) if writable else Store.open_to_read(path)


def _unpaid(place: Path, store: Store) -> dict[str, int]:
    """Of a run, by stage, the VLM calls that it has on record and the store has not."""
    from shotsmith.runs import Run
    from shotsmith.runs.stages import ORIGINS

    if not place.is_dir():
        return {}
    run = Run.open(place)
    name = f"{run.recipe.name}:" if run.recipe.store else ""
    lacking = {}
    for stage in run.stages():
        paid = sum(store.count(f"{name}{origin}") for origin in ORIGINS.get(stage["name"], ()))
        if stage["vlm_calls"] > paid:
            lacking[stage["name"]] = stage["vlm_calls"] - paid
    return lacking


def _within(place: Path) -> Path:
    """The store's file: of a run, the one that its recipe names or that lies in its folder."""
    from shotsmith.runs import Run

    if not place.is_dir():
        return place
    run = Run.open(place)
    return run.recipe.store or run.completions


def _file(place: Path) -> Path:
    from shotsmith.errors import InputError

    file = _within(place)
    if not file.exists():
        raise InputError("no such file", file=file)
    return file


def _say(line: str) -> None:
    from shotsmith.cli.console import Console

    Console(soft_wrap=True, markup=False, highlight=False).print(line)


def _say_counts(heading: str, what: str, counts: dict[str, int]) -> None:
    for name, count in counts.items():
        _say(f"  {heading} {what} {name}: {count:,}")
