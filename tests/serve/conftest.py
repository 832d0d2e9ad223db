"""A bank, queries, and a server in this process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from small_selector import body_of, draw_world, small_selector
from starlette.testclient import TestClient

import shotsmith
from shotsmith.records import Example
from shotsmith.serve.app import create_app
from shotsmith.serve.settings import ServeSettings

World = tuple[list[Example], list[Example]]
Client = Callable[..., TestClient]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder of the tests' own."""
    before = os.environ.get("SHOTSMITH_CACHE")
    os.environ["SHOTSMITH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("SHOTSMITH_CACHE") if before is None else os.environ.update(SHOTSMITH_CACHE=before)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return draw_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def shared(world: World) -> shotsmith.Selector:
    """For tests that do not change the bank."""
    return small_selector(world[0])


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def client(shared: shotsmith.Selector) -> Iterator[Client]:
    """Makes a client of a server with the settings given."""
    with ExitStack() as stack:

        def make(selector: shotsmith.Selector | None = None, **settings: Any) -> TestClient:
            app = create_app(selector or shared, ServeSettings(**settings))
            return stack.enter_context(TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False))

        yield make


@pytest.fixture
def query(world: World) -> dict[str, str]:
    """A query as a request gives it."""
    return body_of(world[1][0])
