"""Running the server until it is told to stop."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable

import uvicorn

from shotsmith.errors import InputError
from shotsmith.library.selector import Selector
from shotsmith.serve.app import create_app
from shotsmith.serve.settings import ServeSettings

_BACKLOG = 512
_IDLE_SECONDS = 30


def serve(selector: Selector, settings: ServeSettings, listening: Callable[[str], None] = lambda _url: None) -> None:
    """Serve until SIGTERM or Ctrl-C; what is under way is finished first. `listening` is told the address.

    Raises InputError where the address is taken or is none of this machine.
    """
    app = create_app(selector, settings)
    held = listen(settings.host, settings.port)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        backlog=_BACKLOG,
    )
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    with held:
        listening(f"http://{host}:{held.getsockname()[1]}")
        _run(uvicorn.Server(config), held)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises InputError where the address is taken or is none of this machine.

    It names TCP as its protocol, which `socket.create_server` does not: asyncio sends without delay (TCP_NODELAY) only
    on such sockets. Otherwise the body of every answer waits 40 ms for the client to acknowledge its headers.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, port))
        held.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        held.close()
        raise InputError(f"cannot listen on {host} port {port}: {error}") from error
    return held


def _run(server: uvicorn.Server, held: socket.socket) -> None:
    """Run, and return after a signal: uvicorn raises it again once it has finished."""
    before = {one: signal.signal(one, lambda _number, _frame: None) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[held])
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
