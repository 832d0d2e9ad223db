"""An application served on a free port of loopback, by a thread of this process."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

SECONDS = 30.0


@contextlib.contextmanager
def running(app: Any, port: int = 0) -> Iterator[str]:
    """Its URL, up to the end of the block; what is under way then is finished. Port 0 is a free one."""
    with socket.create_server(("127.0.0.1", port), backlog=512) as held:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [held]}, daemon=True)
        thread.start()
        end = time.monotonic() + SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > end:
                raise RuntimeError("the server did not start")
            time.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{held.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(SECONDS)
