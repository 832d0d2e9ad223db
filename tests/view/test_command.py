"""`shotsmith view`: prints its address, serves, and ends with Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from queue import SimpleQueue

import httpx2
import pytest
from typer.testing import CliRunner
from watched_worker import Made

from shotsmith.cli import app


def test_it_serves_until_ctrl_c(made: Made) -> None:
    runs = [made("one"), made("two")]
    command = [sys.executable, "-m", "shotsmith", "view", *(str(run.folder) for run in runs), "--no-open", "--json"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": "src"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        assert url.startswith("http://127.0.0.1:")
        assert [run["name"] for run in httpx2.get(f"{url}/api/runs", timeout=60).json()] == ["one", "two"]
        assert "Shotsmith" in httpx2.get(url, timeout=60).text
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (0, "")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["view", str(tmp_path), "--no-open"])
    assert told.exit_code == 2 and "is not a run folder" in told.stderr


def test_a_port_that_is_taken_is_refused(made: Made) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = str(held.getsockname()[1])
        told = CliRunner().invoke(app, ["view", str(made().folder), "--port", port, "--no-open"])
    assert told.exit_code == 2 and f"cannot listen on 127.0.0.1 port {port}" in told.stderr


@pytest.mark.parametrize("option", [[], ["--open"]])
def test_the_page_is_opened_unless_told_otherwise(
    made: Made, option: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: SimpleQueue[str] = SimpleQueue()
    monkeypatch.setattr("webbrowser.open", opened.put)
    monkeypatch.setattr("shotsmith.serve.listening.run_until_signal", lambda *_args, **_more: None)
    told = CliRunner().invoke(app, ["view", str(made().folder), *option])
    assert told.exit_code == 0
    assert told.stdout.split()[0] == opened.get(timeout=20)
