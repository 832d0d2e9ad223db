"""The command `shotsmith`. One file per verb; nothing heavy is imported before a verb that needs it runs."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
import typer.core

from shotsmith.cli import (
    compare,
    convert,
    diagnose,
    evaluate,
    export,
    headroom,
    import_,
    plan,
    predecessor,
    prompt,
    rank,
    report,
    run,
    select,
    selections,
    serve,
    show,
    stages,
    store,
    world,
)
from shotsmith.errors import InputError, ShotsmithError
from shotsmith.visible import visible_line


class Verbs(typer.core.TyperGroup):
    """Turns what goes wrong in a verb into one clear line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb: exit code 2 for bad input, 1 for other failures, 130 where the user stopped it."""
        try:
            return super().invoke(ctx)
        except ShotsmithError as error:
            _say(f"error: {error}")
            raise typer.Exit(2 if isinstance(error, InputError) else 1) from error
        except OSError as error:
            if isinstance(error, BrokenPipeError):  # nobody reads on: typer ends quietly
                raise
            place = f"{error.filename}: " if error.filename is not None else ""
            _say(f"error: {place}{error.strerror or error}")
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            _say("stopped; run the same command again to continue")
            raise typer.Exit(130) from error


app = typer.Typer(
    cls=Verbs,
    name="shotsmith",
    help="Learns which demonstrations to show a vision-language model, in which order, and how many.\n\n"
    "Example: shotsmith run recipes/demo.yaml",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("shotsmith"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


for verb in (
    run.run,
    select.select,
    serve.serve,
    export.export,
    headroom.headroom,
    plan.plan,
    prompt.prompt,
    stages.embed,
    stages.pools,
    stages.collect,
    stages.train,
    rank.rank,
    evaluate.evaluate,
    compare.compare,
    selections.selections,
    convert.convert,
    diagnose.diagnose,
    report.report,
    show.show,
):
    app.command()(verb)
app.command("import")(import_.import_)
app.add_typer(world.app)
app.add_typer(predecessor.app)
app.add_typer(store.app)


def main() -> None:
    """Entry point of the command."""
    # Threads that wait for each other spin for some 20 microseconds before they sleep: not at all makes every small
    # operation wait to be woken (half as fast again), as long as libgomp would slows other programs down many times.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # oneDNN keeps the code it has generated for each shape of a layer: up to 1,024 of them, which take 150 MB. Shapes
    # seldom recur, so that keeping fewer costs no time.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    app()


def _say(line: str) -> None:
    from shotsmith.cli.console import Console

    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    line = visible_line(line)
    console.print(line, style="bold red" if line.startswith("error") else None)
