"""The command `shotsmith`. One file per verb; nothing heavy is imported before a verb that needs it runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from shotsmith.cli import (
    bank,
    compare,
    diagnose,
    evaluate,
    export,
    headroom,
    plan,
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
    view,
    world,
)
from shotsmith.errors import InputError, PluginError, ShotsmithError
from shotsmith.plugins import Table
from shotsmith.visible import visible_line

_UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""What the command line raises for arguments that no verb takes; it repeats them."""

VERBS: Table[Callable[..., Any]] = Table("shotsmith.verbs")
"""Verbs that other packages add: functions, or Typer apps of several verbs."""


class Verbs(typer.core.TyperGroup):
    """Our verbs, then those that other packages add.

    What goes wrong in a verb becomes one clear line on stderr and an exit code.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all verbs."""
        self._add()
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb of that name; those of other packages are imported only where none of ours has it."""
        if cmd_name not in self.commands:
            self._add()
        return super().get_command(ctx, cmd_name)

    def _add(self) -> None:
        for name, verb in _added().items():
            self.commands.setdefault(name, verb)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb: exit code 2 for bad input, 1 for other failures, 130 where the user stopped it."""
        try:
            return super().invoke(ctx)
        except ShotsmithError as error:
            _say(f"error: {error}")
            raise typer.Exit(2 if isinstance(error, InputError) else 1) from error
        except _UsageError as error:
            from shotsmith.recipe.urls import hiding_credentials

            error.args = tuple(hiding_credentials(str(part)) for part in error.args)
            if hasattr(error, "message"):  # what is printed
                error.message = hiding_credentials(str(error.message))
            raise
        except OSError as error:
            if isinstance(error, BrokenPipeError):  # nobody reads on: typer ends quietly
                raise
            place = f"{error.filename}: " if error.filename is not None else ""
            _say(f"error: {place}{error.strerror or error}")
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            _say("stopped; run the same command again to continue")
            raise typer.Exit(130) from error


def _added() -> Mapping[str, Any]:
    """The commands of other packages' verbs. They are made late, as their modules import this one's neighbours."""
    verbs = typer.Typer(rich_markup_mode="rich")
    try:
        for name, verb in VERBS.items():
            if isinstance(verb, typer.Typer):
                verbs.add_typer(verb, name=name)
            else:
                verbs.command(name)(verb)
    except PluginError as error:
        _say(f"error: {error}")
        raise typer.Exit(1) from error
    return typer.main.get_group(verbs).commands if len(VERBS) else {}


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
    diagnose.diagnose,
    report.report,
    show.show,
    bank.bank,
    view.view,
):
    app.command()(verb)
app.add_typer(world.app)
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
    from shotsmith.recipe.urls import hiding_credentials

    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    line = visible_line(hiding_credentials(line))
    console.print(line, style="bold red" if line.startswith("error") else None)
