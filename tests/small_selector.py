"""A selector of an application, quick to make: similarity search over the bank of a small world."""

from __future__ import annotations

import base64
from pathlib import Path

import shotsmith
from shotsmith.data.load import load_splits
from shotsmith.data.world import make_world
from shotsmith.recipe import DataSettings, WorldSettings
from shotsmith.records import Example


def draw_world(folder: Path, bank: int = 40) -> tuple[list[Example], list[Example]]:
    """The examples of a bank, and queries."""
    world = WorldSettings(seed=3, bank=bank, train=20, val=1, test=20)
    make_world(folder / "world", world)
    splits = load_splits(DataSettings(world=world, train_queries=1, val_queries=1, test_queries=20), folder / "world")
    return list(splits.bank), list(splits.test)


def small_selector(bank: list[Example], vlm: str | None = "builtin") -> shotsmith.Selector:
    """Mixed similarity search, with the prompt of the built-in VLM."""
    return shotsmith.selector("mixed", vlm=vlm).index(bank)


def body_of(example: Example) -> dict[str, str]:
    """A query as a request gives it."""
    assert example.image is not None
    return {"question": example.question, "image": data_url_of(example.image)}


def data_url_of(image: Path) -> str:
    """A PNG file as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(image.read_bytes()).decode()}"
