"""The commands in docs/serving.md do what the page says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from running_server import running
from small_selector import small_selector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from shotsmith.records import Example
from shotsmith.serve.app import create_app
from shotsmith.serve.settings import ServeSettings

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"
ADDRESS = "http://127.0.0.1:8400"


@pytest.fixture
def address(world: tuple[list[Example], list[Example]]) -> Iterator[str]:
    async def complete(request: Request) -> JSONResponse:
        return JSONResponse({"got": json.loads(await request.body())["messages"]})

    async def models(_request: Request) -> JSONResponse:
        return JSONResponse({"data": []})

    routes = [Route("/v1/chat/completions", complete, methods=["POST"]), Route("/v1/models", models)]
    with running(Starlette(routes=routes)) as upstream:
        settings = ServeSettings(upstream=f"{upstream}/v1")
        with running(create_app(small_selector(world[0]), settings)) as url:
            yield url


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_curl_command_is_answered(
    address: str, tmp_path: Path, world: tuple[list[Example], list[Example]]
) -> None:
    assert world[1][0].image is not None
    Image.open(world[1][0].image).convert("RGB").save(tmp_path / "a.jpg")
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S) if "curl" in block]
    outputs = []
    for block in blocks:
        script = block.replace(ADDRESS, address).replace("curl -s", "curl --fail-with-body -s")
        done = subprocess.run(["sh", "-ec", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (block, done.stdout, done.stderr)
        outputs.append(done.stdout)
    assert len(blocks) == 5
    assert len(json.loads(outputs[0])["selections"][0]["ids"]) == 4
    assert json.loads(outputs[1])["selections"][0]["messages"][-1]["role"] == "user"
    assert '"added":["new"]' in outputs[2] and '"removed":1' in outputs[2]
    assert "x-shotsmith-selection" in outputs[3] and outputs[3].count("Short answer:") == 3
    assert '"status":"ok"' in outputs[4] and "shotsmith_selections_total" in outputs[4]


def test_every_option_is_on_the_page() -> None:
    from typer.main import get_command

    from shotsmith.cli import app

    options = {option for one in get_command(app).commands["serve"].params for option in one.opts}  # type: ignore[attr-defined]
    text = PAGE.read_text()
    assert {option for option in options if option.startswith("--") and option not in text} == set()
