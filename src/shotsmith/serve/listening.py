"""A listening socket, its address as a URL, and a server that runs on it until it is told to stop."""

from __future__ import annotations

import signal
import socket
from typing import Any

import uvicorn

from shotsmith.errors import InputError

_BACKLOG = 512
_IDLE_SECONDS = 30


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


def url_of(host: str, held: socket.socket) -> str:
    """The address of what listens on a socket of that host."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{held.getsockname()[1]}"


def run_until_signal(app: Any, held: socket.socket, shutdown_seconds: int) -> None:
    """Serve until SIGTERM or Ctrl-C, and return; what is under way may take `shutdown_seconds` to finish."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=shutdown_seconds,
        backlog=_BACKLOG,
    )
    # uvicorn raises the signal again once it has finished
    before = {one: signal.signal(one, lambda _number, _frame: None) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        uvicorn.Server(config).run(sockets=[held])
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
