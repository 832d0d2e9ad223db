"""A bank of an application, in a cache of the test's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shotsmith.data.world import make_world
from shotsmith.progress import Silent
from shotsmith.recipe import parse_recipe


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SHOTSMITH_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures of a small world."""
    folder = tmp_path_factory.mktemp("world")
    data = {"world": {"preset": "first", "seed": 5, "train": 60, "val": 10, "test": 40}}
    world = parse_recipe({"data": data}).data.world
    assert world is not None
    make_world(folder, world, Silent())
    return sorted((folder / "test2014").glob("*.png"))


@pytest.fixture
def rows(pictures: list[Path]) -> list[Mapping[str, Any]]:
    return [
        {"id": f"case {number}", "image": picture, "question": "what is it called?", "answers": f"name{number}"}
        for number, picture in enumerate(pictures[:12])
    ]
