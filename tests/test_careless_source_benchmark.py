"""The benchmark of wrong records: its truth is that of the world, and its figures are those of the lists."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from small_bank import Banked, banked_run

from shotsmith.data.load import load_splits
from shotsmith.data.world import make_world
from shotsmith.data.world.archive import careless_backgrounds
from shotsmith.data.world.drawing import draw
from shotsmith.data.world.make import questions_of
from shotsmith.data.world.questions import Question, annotate
from shotsmith.recipe import WorldSettings, parse_recipe
from shotsmith.worth.bank import bank_worth


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[1] / "benchmarks"), *sys.path])
    return importlib.import_module("careless_source")


@pytest.fixture(scope="module")
def banked(tmp_path_factory: pytest.TempPathFactory) -> Banked:
    return banked_run(tmp_path_factory.mktemp("banked"))


def test_wrong_records_are_those_of_the_careless_source_and_what_is_written_shows_them(
    benchmark: ModuleType, tmp_path: Path
) -> None:
    world = {"seed": 3, "bank": 240, "train": 4, "val": 2, "test": 2}
    settings = WorldSettings(**world)
    wrong = benchmark.wrong_records(settings)
    questions = list(drawn(settings))
    careless = np.array([one.scene.background in careless_backgrounds(3, 1) for one in questions])
    assert not wrong[~careless].any() and 0.75 < wrong[careless].mean() <= 1.0
    assert not benchmark.wrong_records(WorldSettings(**world, careless_sources=0)).any()
    make_world(tmp_path, settings)
    bank = load_splits(parse_recipe({"name": "x", "data": {"world": world}}).data, tmp_path, check=False).bank
    assert [example.answer for example in bank] == [one.truth for one in questions]


def drawn(settings: WorldSettings) -> Iterator[Question]:
    """The records as the world draws them."""
    assert settings.bank is not None
    rng = np.random.default_rng([settings.seed, 2, 3])
    for question in islice(questions_of("bank", settings, rng), settings.bank):
        annotate(question, rng)
        draw(question.scene, rng)
        yield question


def test_figures_are_precision_and_recall_of_what_is_listed(benchmark: ModuleType, banked: Banked) -> None:
    worth = bank_worth(banked.run)
    wrong = np.array([example.id in banked.wrong for example in worth.asked.bank])
    found = benchmark.figures("run", worth, wrong)
    assert found["run/chance"] == pytest.approx(100 * wrong.mean())
    assert found["run/labels/flagged"] == len(worth.mend)
    assert found["run/labels/precision"] == pytest.approx(100 * wrong[worth.mend].mean())
    assert found["run/labels/recall"] == pytest.approx(100 * wrong[worth.mend].sum() / wrong.sum())
    accused_all = benchmark.figures("run", worth, ~wrong)
    assert accused_all["run/labels/precision_20"] < 10
