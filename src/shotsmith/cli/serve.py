"""`shotsmith serve`: a selector over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from shotsmith.cli.options import Json
from shotsmith.cli.selecting import BankFile, Device, Source, open_selector, shots_of
from shotsmith.errors import InputError

Variable = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Environment variable with the bearer key that requests must give."),
]
UpstreamVariable = Annotated[
    str | None, typer.Option(metavar="NAME", help="Environment variable with the upstream server's key.")
]
Upstream = Annotated[
    str | None,
    typer.Option(metavar="URL", help="OpenAI API that completes chats (http://127.0.0.1:8000/v1); turns the proxy on."),
]
Allowed = Annotated[
    list[Path] | None,
    typer.Option(
        "--allow-path", metavar="DIR", help="Let requests name images in this folder as file:// URLs. Repeatable."
    ),
]


def serve(
    source: Source,
    bank: BankFile = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8400,
    key_env: Variable = None,
    upstream: Upstream = None,
    upstream_key_env: UpstreamVariable = None,
    upstream_seconds: Annotated[float, typer.Option(min=0.1, help="How long the upstream may be silent.")] = 600.0,
    shots: Annotated[str, typer.Option(metavar="N|auto", help="Demonstrations that the proxy inserts.")] = "4",
    fallback: Annotated[
        bool, typer.Option("--fallback", help="The proxy uses similarity search for unfamiliar queries.")
    ] = False,
    allow_path: Allowed = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse to change the bank.")] = False,
    max_body_mb: Annotated[float, typer.Option(min=0.001, help="Largest body of a request.")] = 16.0,
    max_queries: Annotated[int, typer.Option(min=1, help="Most queries of a request.")] = 64,
    max_megapixels: Annotated[float, typer.Option(min=0.001, help="Most pixels of all images of a request.")] = 50.0,
    max_concurrent: Annotated[int, typer.Option(min=1, help="Requests under way at a time.")] = 128,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Requests per second of one client address.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Most waiting queries that are selected for together.")] = 16,
    log: Annotated[Path | None, typer.Option(help="Selections log, JSON lines.")] = None,
    log_mb: Annotated[float, typer.Option(min=0.001, help="Size at which a new log is begun.")] = 100.0,
    log_files: Annotated[int, typer.Option(min=0, help="Logs put aside that are kept.")] = 5,
    shutdown_seconds: Annotated[int, typer.Option(min=1, help="How long requests may take to finish at the end.")] = 30,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Serve a selector over HTTP: /select, /index, /healthz, /metrics, /docs, and with --upstream a chat proxy.

    The address is printed once the selector is loaded. SIGTERM and Ctrl-C finish what is under way.

    Example: shotsmith serve runs/demo --port 8400 --upstream http://127.0.0.1:8000/v1
    """
    try:
        from shotsmith.serve.run import serve as run_server
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is not installed: pip install 'shotsmith[serve]'") from error
    from shotsmith.cli.terminal import listening
    from shotsmith.serve.settings import ServeSettings

    settings = ServeSettings(
        host=host,
        port=port,
        key=_key(key_env, "--key-env"),
        upstream=upstream,
        upstream_key=_key(upstream_key_env, "--upstream-key-env"),
        upstream_seconds=upstream_seconds,
        shots=shots_of(shots),
        unfamiliar="fallback" if fallback else "flag",
        allowed_paths=tuple(_folder(path) for path in allow_path or ()),
        read_only=read_only,
        max_body_bytes=int(max_body_mb * 1e6),
        max_queries=max_queries,
        max_pixels=int(max_megapixels * 1e6),
        max_concurrent=max_concurrent,
        rate=rate,
        batch=batch,
        log=log,
        log_bytes=int(log_mb * 1e6),
        log_files=log_files,
        shutdown_seconds=shutdown_seconds,
    )
    with listening(quiet=as_json) as progress:
        selector = open_selector(source, bank, progress, device)
        _ = selector.encoder  # a missing or different encoder is told now
    run_server(selector, settings, lambda url: _tell(url, selector.name, len(selector), as_json))


def _key(variable: str | None, option: str) -> str | None:
    if variable is None:
        return None
    if not variable.isidentifier():
        raise InputError("is the name of an environment variable that holds the key, not the key itself", field=option)
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(f"the environment variable {variable} is not set or is empty", field=option)
    return key


def _folder(path: Path) -> Path:
    if not path.expanduser().is_dir():
        raise InputError("is no folder", file=path, field="--allow-path")
    return path.expanduser().resolve()


def _tell(url: str, name: str, examples: int, as_json: bool) -> None:
    import json

    if as_json:
        typer.echo(json.dumps({"url": url, "selector": name, "examples": examples}))
    else:
        from shotsmith.reports.numbers import counted

        typer.echo(f"{name} with {counted(examples, 'example')}: {url}, API page {url}/docs")
