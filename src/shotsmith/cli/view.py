"""`shotsmith view`: a local page on which runs are watched and explored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shotsmith.cli.options import Json
from shotsmith.errors import InputError

Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.", show_default=False)]


def view(
    runs: Runs,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 0,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    as_json: Json = False,
) -> None:
    """Watch runs while they run, and explore them, on a page of this machine.

    The page shows runs that are running, finished, stopped, failed or not started yet. It reads their folders, writes
    nothing there, and loads nothing from elsewhere. Ctrl-C ends the server, not the runs.

    Example: shotsmith view runs/demo runs/demo-slower --port 8500
    """
    try:
        from shotsmith.serve.listening import listen, run_until_signal, url_of
        from shotsmith.view.app import make_app
        from shotsmith.view.opened import OpenedRuns
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is not installed: pip install 'shotsmith[serve]'") from error

    app = make_app(OpenedRuns(runs), host)
    with listen(host, port) as held:
        url = url_of(host, held)
        _tell(url, as_json)
        if open_page:
            _open(url)
        run_until_signal(app, held, shutdown_seconds=1)


def _tell(url: str, as_json: bool) -> None:
    import json

    typer.echo(json.dumps({"url": url}) if as_json else f"{url}  (Ctrl-C ends it)")


def _open(url: str) -> None:
    """Open the page in the user's browser, where there is one. The socket listens already: the page waits for it."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
