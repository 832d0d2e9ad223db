"""No request makes the server fail."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from running_server import running
from small_selector import small_selector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shotsmith.records import Example
from shotsmith.serve.app import create_app
from shotsmith.serve.settings import ServeSettings

World = tuple[list[Example], list[Example]]
REQUESTS = 400


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[2] / "benchmarks"), *sys.path])
    return importlib.import_module("serve_fuzz")


@pytest.fixture
def upstream(fuzz: ModuleType) -> Iterator[str]:
    with running(Starlette(routes=[Route("/v1/chat/completions", fuzz.complete, methods=["POST"])])) as url:
        yield f"{url}/v1"


@pytest.mark.slow
def test_requests_are_answered_or_refused(fuzz: ModuleType, upstream: str, world: World) -> None:
    selector = small_selector(world[0])
    requests = fuzz.Requests(1, list(selector.bank.ids))
    with running(create_app(selector, ServeSettings(upstream=upstream))) as url:
        outcome = fuzz.fuzz(url, requests, REQUESTS)
    assert outcome.failures == []
    assert outcome.statuses["200"] > REQUESTS / 10 and outcome.statuses["422"] > REQUESTS / 10


def test_a_failure_is_seen(fuzz: ModuleType) -> None:
    async def fail(request: Request) -> Response:
        return JSONResponse({}, 500 if b"question" in await request.body() else 200)

    paths = ("/select", "/index", "/v1/chat/completions")
    with running(Starlette(routes=[Route(path, fail, methods=["POST"]) for path in paths])) as url:
        outcome = fuzz.fuzz(url, fuzz.Requests(0, list(range(10))), 50)
    assert outcome.failures and json.dumps(outcome.statuses)
