"""The built-in world: reproducible, in the official layout, and built so that selection is worth learning."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.data.load import load_splits
from shotsmith.data.world import make_world
from shotsmith.data.world.drawing import SIZE, draw, random_scene
from shotsmith.data.world.facts import build_world
from shotsmith.data.world.language import COLOURS, FACTS, KINDS, SHAPES
from shotsmith.data.world.questions import ARCHIVE, VISITORS, ask
from shotsmith.errors import InputError
from shotsmith.recipe import DataSettings, WorldSettings

SMALL = WorldSettings(seed=3, train=60, val=20, test=20)


def test_the_reader_of_real_data_reads_a_world_and_its_splits_share_nothing(tmp_path: Path) -> None:
    make_world(tmp_path / "world", SMALL)
    splits = load_splits(DataSettings(world=SMALL), tmp_path / "world")
    assert [len(split) for split in splits.named().values()] == [60, 20, 20]
    assert all(len(example.answers) == 10 for example in splits.train)
    assert {example.question_type for example in splits.train} <= set(KINDS)


def test_the_same_seed_writes_the_same_bytes_and_another_seed_another_world(tmp_path: Path) -> None:
    for name, settings in (("a", SMALL), ("b", SMALL), ("c", SMALL.model_copy(update={"seed": 4}))):
        make_world(tmp_path / name, settings)
    a, b, c = ([path.read_bytes() for path in sorted((tmp_path / n).rglob("*.*")) if path.is_file()] for n in "abc")
    assert a == b
    assert a != c


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        make_world(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_making_a_world_again_keeps_it_but_other_settings_are_refused(tmp_path: Path) -> None:
    make_world(tmp_path / "w", SMALL)
    before = (tmp_path / "w" / "world.json").stat().st_mtime_ns
    make_world(tmp_path / "w", SMALL)
    assert (tmp_path / "w" / "world.json").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="another world"):
        make_world(tmp_path / "w", SMALL.model_copy(update={"train": 61}))


@given(seed=st.integers(0, 1000))
def test_what_decides_an_answer_differs_from_kind_to_kind(seed: int) -> None:
    world = build_world(seed)
    for shape, colour in world.artefacts:
        for other_shape, other_colour in world.artefacts:
            same = {
                kind: world.answer(kind, shape, colour, old=False)
                == world.answer(kind, other_shape, other_colour, old=False)
                for kind in ("name", "place", "use", "pair")
            }
            assert same["name"] == (shape == other_shape)
            assert same["place"] == (colour == other_colour)
            assert same["use"] == ((shape, colour) == (other_shape, other_colour))
            assert same["pair"] == (same["name"] and same["place"])


@given(seed=st.integers(0, 1000))
def test_a_changed_fact_is_told_by_old_photos_as_it_was(seed: int) -> None:
    world = build_world(seed)
    for shape, colour in world.artefacts:
        former = world.answer("keeper", shape, colour, old=True)
        present = world.answer("keeper", shape, colour, old=False)
        assert former != present
        for old in (False, True):
            assert world.answer("history", shape, colour, old=old) == f"{former} {present}"


def test_most_annotators_say_the_truth_and_some_questions_are_disputed() -> None:
    world, rng = build_world(0), np.random.default_rng(0)
    asked = [ask(world, VISITORS, rng) for _ in range(400)]
    for question in asked:
        answer, votes = Counter(question.answers).most_common(1)[0]
        assert votes >= 7
        truth = world.answer(question.kind, question.scene.shape, question.scene.colour, old=question.scene.old)
        assert answer == truth
    disputed = sum(len(set(question.answers)) > 1 for question in asked) / len(asked)
    assert 0.3 < disputed < 0.5


def test_kinds_are_asked_as_often_as_documented() -> None:
    world, rng = build_world(0), np.random.default_rng(0)
    for shares in (ARCHIVE, VISITORS):
        assert sum(shares.values()) == pytest.approx(1)
        seen = Counter(ask(world, shares, rng).kind for _ in range(3000))
        for kind, share in shares.items():
            assert seen[kind] / 3000 == pytest.approx(share, abs=0.03)


def test_every_artefact_looks_different_and_an_old_photo_has_a_frame() -> None:
    means = {}
    for shape in SHAPES:
        for colour in COLOURS:
            rng = np.random.default_rng(5)
            picture = np.asarray(draw(random_scene(rng, shape, colour, False), rng), dtype=float)
            assert picture.shape == (SIZE, SIZE, 3)
            means[shape, colour] = picture
    pictures = list(means.values())
    assert min(np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]) > 1.0
    rng = np.random.default_rng(6)
    framed = np.asarray(draw(random_scene(rng, "star", "red", True), rng), dtype=float)
    assert framed[:3].min() > 225


def test_every_word_of_an_answer_belongs_to_one_fact_only() -> None:
    words = [word for fact in FACTS.values() for word in fact.answers]
    assert len(words) == len(set(words))
