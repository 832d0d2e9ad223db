"""docs/tutorial.md, word for word and in its order: files, commands, Python, a server behind the proxy."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from running_server import running
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from typer.testing import CliRunner

from shotsmith.cli import app

PAGE = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python|yaml)\n(.*?)^```", PAGE, re.S | re.M)
SMALLER = {"--train 1500": "--train 60", "--test 300": "--test 12", "--queries 40": "--queries 2"}
SETTINGS = ("data.train_queries=12", "data.val_queries=4", "data.test_queries=4", "evaluation.oracle_tries=2")
TRAINING = ("grpo.epochs=1", "grpo.steps_per_epoch=1", "grpo.queries_per_step=4", "evaluation.resamples=100")


async def complete(request: Request) -> JSONResponse:
    """Answer as a VLM's server does, with the number of pictures that it was shown."""
    turns = json.loads(await request.body())["messages"]
    parts = [part for turn in turns if isinstance(turn["content"], list) for part in turn["content"]]
    content = f"{sum(part['type'] == 'image_url' for part in parts)} pictures"
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return JSONResponse({"id": "1", "object": "chat.completion", "created": 1, "model": "vlm", "choices": [choice]})


def shotsmith(command: str) -> None:
    name, *arguments = shlex.split(command)
    assert name == "shotsmith"
    if arguments[1] == "mine.yaml":
        settings = [*SETTINGS, *TRAINING]
        arguments += [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, (command, result.output)


@pytest.mark.slow
def test_the_tutorial_runs_from_the_csv_to_the_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openai")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOTSMITH_CACHE", str(tmp_path / "cache"))
    names: dict[str, Any] = {}
    served: list[subprocess.Popen[bytes]] = []
    address = ""
    routes = [Route("/v1/chat/completions", complete, methods=["POST"])]
    with running(Starlette(routes=routes)) as upstream:
        try:
            for language, block in BLOCKS:
                for large, small in SMALLER.items():
                    block = block.replace(large, small)
                if language == "yaml":
                    (tmp_path / "mine.yaml").write_text(block)
                elif language == "python":
                    code = block.replace("http://127.0.0.1:8700", address) if address else block
                    exec(compile(code, "docs/tutorial.md", "exec"), names)
                elif "shotsmith serve" in block:
                    command = block.replace("http://127.0.0.1:8000", upstream).replace("--port 8700", "--port 0")
                    served.append(_start(command, tmp_path / "log"))
                    address = _address(tmp_path / "log", served[0])
                elif not block.startswith("pip "):
                    for line in block.splitlines():
                        shotsmith(line)
        finally:
            for process in served:
                process.terminate()
                assert process.wait(30) == 0
    assert capsys.readouterr().out.strip().splitlines()[-1] == "5 pictures"
    assert len(names["chosen"].ids) == 4 and names["messages"][-1]["role"] == "user"
    assert (tmp_path / "runs" / "mine" / "report.html").exists()
    assert len(served) == 1


def _start(command: str, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen([sys.executable, "-m", *shlex.split(command)], stdout=file, stderr=file)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:[1-9]\d*", log.read_text()):
            return found[0]
        time.sleep(0.2)
    raise AssertionError(log.read_text())
