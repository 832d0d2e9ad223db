"""Everything that can be set about the server; `shotsmith serve` has an option for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MAX_SHOTS = 64
"""Most demonstrations that a request can ask for."""

MAX_IMAGES = 16
"""Most images of one query or example."""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How the server listens, what it allows, and where it sends completions."""

    host: str = "127.0.0.1"
    """Address to listen on. Other machines reach the server only where this is not a loopback address."""
    port: int = 8400
    """Port to listen on; 0 takes a free one."""
    key: str | None = None
    """Bearer key that every request but `/healthz` must give; None: no key is needed."""
    upstream: str | None = None
    """Where the OpenAI API of the VLM begins, as `http://127.0.0.1:8000/v1`; None: no proxy."""
    upstream_key: str | None = None
    """Bearer key for the upstream server."""
    upstream_seconds: float = 600.0
    """How long the upstream server may be silent before the proxy gives up."""
    shots: int | Literal["auto"] = 4
    """Demonstrations that the proxy inserts, where the request does not say."""
    unfamiliar: Literal["flag", "fallback"] = "flag"
    """What the proxy does for an unfamiliar query: nothing, or similarity search."""
    allowed_paths: tuple[Path, ...] = ()
    """Folders from which requests may name images as `file://` URLs."""
    read_only: bool = False
    """Refuse to change the bank."""
    max_body_bytes: int = 16_000_000
    """Largest body of a request."""
    max_queries: int = 64
    """Most queries of a request, and most examples that it adds or removes."""
    max_pixels: int = 50_000_000
    """Most pixels of all images of a request."""
    max_concurrent: int = 128
    """Requests under way at a time; further ones are told to come back."""
    rate: float | None = None
    """Requests per second of one client address, in the mean; twice as many may come at once. None: no limit."""
    batch: int = 16
    """Most queries of waiting requests that are selected for together; 1: every request alone."""
    log: Path | None = None
    """File that gets a line for every selection; None: no log."""
    log_bytes: int = 100_000_000
    """Size at which the log is put aside and a new one begun."""
    log_files: int = 5
    """Logs put aside that are kept."""
    shutdown_seconds: int = 30
    """How long requests under way may take to finish after SIGTERM."""
