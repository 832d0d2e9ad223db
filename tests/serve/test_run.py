"""`shotsmith serve` as a process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from running_server import running
from small_selector import body_of
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import shotsmith
from shotsmith.records import Example
from shotsmith.serve.listening import listen

World = tuple[list[Example], list[Example]]


@pytest.fixture(scope="module")
def saved(shared: shotsmith.Selector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared.save(tmp_path_factory.mktemp("saved") / "selector")


@contextlib.contextmanager
def serving(saved: Path, *options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "shotsmith", "serve", str(saved), "--port", "0", "--json", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, json.loads(line)["url"]
    finally:
        process.kill()
        process.communicate()


def test_answers_are_sent_without_waiting_for_an_acknowledgement() -> None:
    async def delays() -> int:
        """TCP_NODELAY of a connection that asyncio accepts."""
        found = asyncio.get_running_loop().create_future()

        class Told(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                sock = transport.get_extra_info("socket")
                found.set_result(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

        held = listen("127.0.0.1", 0)
        server = await asyncio.get_running_loop().create_server(Told, sock=held)
        async with server:
            _, writer = await asyncio.open_connection(*held.getsockname())
            without_delay = await found
            writer.close()
        return int(without_delay)

    assert asyncio.run(delays())


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_after_what_is_under_way(saved: Path, world: World, sent: signal.Signals) -> None:
    asked, release = threading.Event(), threading.Event()

    async def complete(request: Request) -> JSONResponse:
        asked.set()
        await request.body()
        await asyncio.to_thread(release.wait, 60)
        return JSONResponse({"done": True})

    found: list[Any] = []
    chat = {"messages": [{"role": "user", "content": world[1][0].question}]}
    with contextlib.ExitStack() as stack:
        stub = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
        upstream = stack.enter_context(running(stub))
        process, url = stack.enter_context(serving(saved, "--upstream", f"{upstream}/v1"))
        thread = threading.Thread(
            target=lambda: found.append(httpx2.post(f"{url}/v1/chat/completions", json=chat, timeout=30))
        )
        thread.start()
        assert asked.wait(30)
        process.send_signal(sent)
        end = time.monotonic() + 30
        with pytest.raises(httpx2.TransportError):
            while time.monotonic() < end:
                httpx2.get(f"{url}/healthz", timeout=10)
        assert not found
        release.set()
        thread.join()
        assert process.wait(20) == 0
        assert process.stderr is not None and process.stderr.read() == ""
    assert found[0].json() == {"done": True}


@pytest.mark.slow
def test_the_options_reach_the_server(saved: Path, world: World, tmp_path: Path) -> None:
    options = ["--key-env", "MY_KEY", "--read-only", "--allow-path", str(world[1][0].image.parent)]  # type: ignore[union-attr]
    options += ["--max-queries", "2", "--max-body-mb", "0.1", "--log", str(tmp_path / "log")]
    query = {"question": world[1][0].question, "image": world[1][0].image.as_uri()}  # type: ignore[union-attr]
    with serving(saved, *options, MY_KEY=" secret\n") as (_, url):
        client = httpx2.Client(base_url=url, headers={"authorization": "Bearer secret"}, timeout=30)
        assert httpx2.get(f"{url}/metrics").status_code == 401
        answer = client.post("/select", json=query)
        assert answer.json() == client.post("/select", json=body_of(world[1][0])).json()
        assert client.post("/select", json={"queries": [query] * 3}).status_code == 422
        assert client.post("/select", json={"question": "q" * 100_000}).status_code == 413
        assert client.post("/index", json={"remove": [1]}).status_code == 403
        assert len((tmp_path / "log").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY is not set"),
        (["--allow-path", "/no/such/folder"], "is no folder"),
        (["--upstream", "localhost:8000"], "is no http or https URL"),
        (["--shots", "four"], "neither a whole number nor"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["--log", "/"], "cannot be written"),
    ],
)
def test_what_cannot_be_served_is_told_in_one_line(saved: Path, options: list[str], problem: str) -> None:
    from typer.testing import CliRunner

    from shotsmith.cli import app

    done = CliRunner().invoke(app, ["serve", str(saved), *options])
    assert done.exit_code == 2 and problem in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_told(saved: Path) -> None:
    from typer.testing import CliRunner

    from shotsmith.cli import app

    with socket.create_server(("127.0.0.1", 0)) as held:
        done = CliRunner().invoke(app, ["serve", str(saved), "--port", str(held.getsockname()[1])])
    assert done.exit_code == 2 and "Address already in use" in done.stderr
