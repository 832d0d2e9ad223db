"""Embeddings computed on a Ray cluster: those of a single machine, and no part is lost or computed without need."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray.cluster_utils import Cluster
from safetensors import safe_open
from safetensors.numpy import load_file
from small_cluster import add_node, holding_part, lose_power, two_nodes
from small_selector import draw_world

from shotsmith.embeddings import on_cluster
from shotsmith.embeddings.cached import embed_examples
from shotsmith.embeddings.load import load_encoder
from shotsmith.embeddings.on_cluster import ClusterEncoder
from shotsmith.errors import DataError
from shotsmith.recipe import EncoderSettings
from shotsmith.recipe.cluster import ClusterSettings
from shotsmith.records import Example

SETTINGS = EncoderSettings(batch_size=4)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with two_nodes() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    bank, _ = draw_world(tmp_path_factory.mktemp("world"), 50)
    return bank


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Embeds in parts of 8."""
    monkeypatch.setattr(on_cluster, "_PART", 8)
    settings = SETTINGS.model_copy(update={"ray": ClusterSettings()})
    return on_cluster.on_cluster(load_encoder(SETTINGS), settings)


def test_the_file_is_that_of_a_single_machine(cluster, examples, encoder: ClusterEncoder, tmp_path: Path) -> None:
    here, there = tmp_path / "here.safetensors", tmp_path / "there.safetensors"
    embed_examples(examples, load_encoder(SETTINGS), here)
    embed_examples(examples, encoder, there)
    one, other = load_file(here), load_file(there)
    assert one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)
    with safe_open(here, "np") as first, safe_open(there, "np") as second:
        assert first.metadata() == second.metadata()  # in the file, in an order of its own
    assert sorted(tmp_path.iterdir()) == [here, there]


def test_a_machine_that_dies_takes_no_part_with_it(
    cluster, examples, encoder: ClusterEncoder, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(on_cluster, "embed_part", holding_part)
    notes = tmp_path / "notes"
    notes.mkdir()
    monkeypatch.chdir(notes)

    def lose() -> None:
        while len({file.read_text() for file in notes.glob("*.holds")}) < 2:
            time.sleep(0.01)
        lose_power(cluster, {int(file.stem): file.read_text() for file in notes.glob("*.holds")})
        (notes / "go").touch()

    threading.Thread(target=lose, daemon=True).start()
    kept: list[int] = []
    try:
        paths = [image for one in examples for image in one.images]
        found = encoder.keeping_in(tmp_path / "parts").embed_images(paths, kept.append)
    finally:
        add_node(cluster)
    assert np.array_equal(found, load_encoder(SETTINGS).embed_images(paths))
    assert sum(kept) == len(paths) and len(kept) == 1 + -(-len(paths) // 8)


def test_what_came_back_before_an_interruption_is_not_computed_again(
    cluster, examples, encoder: ClusterEncoder, tmp_path: Path, monkeypatch
) -> None:
    questions = [f"{one.question} {number}" for number, one in enumerate(examples)]
    resuming, advanced, asked = encoder.keeping_in(tmp_path / "parts"), list[int](), list[set[int]]()
    compute = ClusterEncoder._computed

    def noted(self: ClusterEncoder, kind: Any, parts: dict[int, list[str]]) -> Any:
        asked.append(set(parts))
        return compute(self, kind, parts)

    def interrupted(amount: int) -> None:
        advanced.append(amount)
        if len(advanced) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(ClusterEncoder, "_computed", noted)
    with pytest.raises(KeyboardInterrupt):
        resuming.embed_texts(questions, interrupted)
    found = resuming.embed_texts(questions)
    assert [len(parts) for parts in asked] == [7, 4]
    assert np.array_equal(found, load_encoder(SETTINGS).embed_texts(questions))
    resuming.embed_texts(questions)
    assert len(asked) == 2
    resuming.embed_texts([*questions[1:], "another?"])
    assert len(asked[2]) == 7


def test_an_image_that_cannot_be_read_is_named(cluster, examples, encoder: ClusterEncoder, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"no picture")
    paths = [image for one in examples for image in one.images]
    with pytest.raises(DataError, match=r"damaged\.png"):
        encoder.keeping_in(tmp_path / "parts").embed_images([*paths, damaged])


def test_a_few_are_embedded_here(examples, encoder: ClusterEncoder, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(ClusterEncoder, "_computed", None)
    assert len(encoder.keeping_in(tmp_path).embed_texts(["what?"] * 8)) == 8
    assert not list(tmp_path.iterdir())
