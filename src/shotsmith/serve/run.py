"""Running the server until it is told to stop."""

from __future__ import annotations

from collections.abc import Callable

from shotsmith.library.selector import Selector
from shotsmith.serve.app import create_app
from shotsmith.serve.listening import listen, run_until_signal, url_of
from shotsmith.serve.settings import ServeSettings


def serve(selector: Selector, settings: ServeSettings, listening: Callable[[str], None] = lambda _url: None) -> None:
    """Serve until SIGTERM or Ctrl-C; what is under way is finished first. `listening` is told the address.

    Raises InputError where the address is taken or is none of this machine.
    """
    app = create_app(selector, settings)
    with listen(settings.host, settings.port) as held:
        listening(url_of(settings.host, held))
        run_until_signal(app, held, settings.shutdown_seconds)
