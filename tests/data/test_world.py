"""The built-in world: reproducible, in the official layout, and built so that selection is worth learning."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shotsmith.data.load import load_splits
from shotsmith.data.official import read_official
from shotsmith.data.world import check_world, make_world
from shotsmith.data.world.archive import DIRECT_ANSWERS, SINGLE_FACTS, WRONG, careless_backgrounds
from shotsmith.data.world.drawing import BACKGROUNDS, SIZE, draw, random_scene
from shotsmith.data.world.facts import build_world
from shotsmith.data.world.language import COLOURS, FACTS, KINDS, SHAPES
from shotsmith.data.world.make import questions_of
from shotsmith.data.world.questions import VISITORS, Question, annotate, ask
from shotsmith.errors import DataError, InputError
from shotsmith.files import write_json
from shotsmith.recipe import DataSettings, WorldSettings

SMALL = WorldSettings(seed=3, bank=80, train=60, val=20, test=20)
FIRST = WorldSettings.model_validate({"preset": "first", "seed": 3, "train": 60, "val": 20, "test": 20})
SPLITS = ("bank", "train", "val", "test")


def questions(split: str, count: int, settings: WorldSettings) -> list[Question]:
    return list(islice(questions_of(split, settings, np.random.default_rng(0)), count))


def is_right(question: Question, settings: WorldSettings) -> bool:
    """Whether the truth of a question is that of its world."""
    world = build_world(settings.seed, artefacts=settings.artefacts, changing_keepers=settings.changing_keepers)
    scene = question.scene
    return question.truth == world.answer(question.kind, scene.shape, scene.colour, old=scene.old)


def share(flags: Iterable[bool]) -> float:
    return float(np.mean(list(flags)))


def digest(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def test_the_reader_of_real_data_reads_a_world_and_its_splits_share_nothing(tmp_path: Path) -> None:
    make_world(tmp_path / "world", SMALL)
    splits = load_splits(DataSettings(world=SMALL), tmp_path / "world")
    assert [len(split) for split in splits.named().values()] == [60, 20, 20]
    bank = read_official(
        tmp_path / "world" / "OpenEnded_mscoco_bank2014_questions.json",
        tmp_path / "world" / "mscoco_bank2014_annotations.json",
        tmp_path / "world" / "bank2014",
    )
    everything = [*bank, *splits.train, *splits.val, *splits.test]
    assert len(bank) == 80
    assert len({example.id for example in everything}) == len({example.image_id for example in everything}) == 180
    assert len({example.image.read_bytes() for example in everything if example.image}) == 180
    assert all(len(example.answers) == 10 for example in everything)
    assert {example.question_type for example in everything} <= set(KINDS)


def test_the_same_seed_writes_the_same_bytes_and_another_seed_another_world(tmp_path: Path) -> None:
    for name, settings in (("a", SMALL), ("b", SMALL), ("c", SMALL.model_copy(update={"seed": 4}))):
        make_world(tmp_path / name, settings)
    a, b, c = ([path.read_bytes() for path in sorted((tmp_path / n).rglob("*.*")) if path.is_file()] for n in "abc")
    assert a == b
    assert a != c


def test_the_first_world_is_drawn_as_the_first_version_drew_it(tmp_path: Path) -> None:
    make_world(tmp_path / "w", FIRST)
    files = sorted((tmp_path / "w").glob("*2014_*.json"))
    for path in files:
        value = json.loads(path.read_text())
        del value["license"]  # which the first version lacked
        write_json(path, value, indent=None)
    assert digest(path.read_bytes() for path in files) == "bab60f0749f17845"
    pictures = sorted((tmp_path / "w").rglob("*.png"))
    assert digest(np.asarray(Image.open(path)).tobytes() for path in pictures) == "2320a9d7bf98d8e5"


def test_a_folder_that_the_first_version_wrote_is_known_as_the_first_world(tmp_path: Path) -> None:
    write_json(tmp_path / "world.json", {"format": 1, "seed": 3, "train": 60, "val": 20, "test": 20})
    make_world(tmp_path, FIRST)
    with pytest.raises(InputError, match="another world"):
        make_world(tmp_path, SMALL)


def test_settings_go_on_top_of_the_first_world_and_no_other_preset_is_known() -> None:
    settings = WorldSettings.model_validate({"preset": "first", "bank": 7, "careless_sources": 2})
    assert (settings.bank, settings.careless_sources, settings.artefacts, settings.train) == (7, 2, "few", 6000)
    with pytest.raises(ValueError, match="there is 'first'"):
        WorldSettings.model_validate({"preset": "second"})


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


@given(seed=st.integers(0, 1000), few=st.booleans())
def test_what_decides_an_answer_differs_from_kind_to_kind(seed: int, few: bool) -> None:
    world = build_world(seed, artefacts="few" if few else "all")
    assert len(world.artefacts) == (15 if few else 64)
    for shape, colour in world.artefacts:
        for other_shape, other_colour in world.artefacts:
            same = {
                kind: world.answer(kind, shape, colour, old=False)
                == world.answer(kind, other_shape, other_colour, old=False)
                for kind in ("name", "place", "use", "pair")
            }
            assert same["name"] == (shape == other_shape)
            assert same["place"] == (colour == other_colour)
            assert same["pair"] == (same["name"] and same["place"])
            if few:
                assert same["use"] == ((shape, colour) == (other_shape, other_colour))


@given(seed=st.integers(0, 1000))
def test_there_are_as_many_uses_as_words_for_them(seed: int) -> None:
    world = build_world(seed)
    uses = Counter(world.answer("use", *artefact, old=False) for artefact in world.artefacts)
    assert set(uses.values()) == {4} and set(uses) == set(FACTS["use"].answers)


@given(seed=st.integers(0, 1000))
def test_a_changed_fact_is_told_by_old_photos_as_it_was(seed: int) -> None:
    world = build_world(seed)
    for shape, colour in world.artefacts:
        former = world.answer("keeper", shape, colour, old=True)
        present = world.answer("keeper", shape, colour, old=False)
        assert former != present
        for old in (False, True):
            assert world.answer("history", shape, colour, old=old) == f"{former} {present}"


def test_where_keepers_never_change_old_photos_tell_the_present_and_nobody_asks_for_a_history() -> None:
    settings = SMALL.model_copy(update={"changing_keepers": False})
    world, changing = build_world(3, changing_keepers=False), build_world(3)
    for artefact in world.artefacts:
        assert len({world.answer("keeper", *artefact, old=old) for old in (False, True)}) == 1
        assert world.answer("keeper", *artefact, old=True) == changing.answer("keeper", *artefact, old=False)
    for split in SPLITS:
        assert "history" not in {question.kind for question in questions(split, 400, settings)}


def test_most_annotators_say_the_truth_and_some_questions_are_disputed() -> None:
    rng = np.random.default_rng(0)
    answers = [(question, annotate(question, rng)) for question in questions("bank", 400, SMALL)]
    for question, said in answers:
        answer, votes = Counter(said).most_common(1)[0]
        assert (answer, len(said)) == (question.truth, 10) and votes >= 7
    assert 0.3 < share(len(set(said)) > 1 for _, said in answers) < 0.5


def test_kinds_are_asked_as_often_as_documented() -> None:
    world, rng = build_world(0), np.random.default_rng(0)
    for shares in (SINGLE_FACTS, DIRECT_ANSWERS, VISITORS):
        assert sum(shares.values()) == pytest.approx(1)
        seen = Counter(ask(world, shares, rng).kind for _ in range(3000))
        for kind in KINDS:
            assert seen[kind] / 3000 == pytest.approx(shares.get(kind, 0), abs=0.03)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_queries_have_right_answers_and_ask_composite_questions_too(split: str) -> None:
    asked = questions(split, 400, SMALL.model_copy(update={"careless_sources": 2, "near_duplicates": 0.5}))
    assert all(is_right(question, SMALL) for question in asked)
    assert share(question.kind in ("pair", "history") for question in asked) > 0.25


def test_the_bank_answers_composite_questions_only_where_direct_answers_are_wanted() -> None:
    composite = {"pair", "history"}
    assert not composite & {question.kind for question in questions("bank", 1000, SMALL)}
    direct = questions("bank", 1000, SMALL.model_copy(update={"direct_answers": True}))
    assert composite <= {question.kind for question in direct}


@pytest.mark.parametrize("sources", [0, 1, 2])
def test_records_are_wrong_on_the_backgrounds_of_careless_sources_and_nowhere_else(sources: int) -> None:
    settings = SMALL.model_copy(update={"careless_sources": sources, "direct_answers": True, "near_duplicates": 0.0})
    careless = careless_backgrounds(settings.seed, sources)
    assert len(careless) == sources
    by_background: dict[str, list[bool]] = {background: [] for background in BACKGROUNDS}
    for question in questions("bank", 1500, settings):
        by_background[question.scene.background].append(not is_right(question, settings))
        sorts = [name.partition(":")[0] for name in KINDS[question.kind].facts]
        assert all(word in FACTS[sort].answers for sort, word in zip(sorts, question.truth.split(), strict=True))
    for background, wrong in by_background.items():
        assert share(wrong) == pytest.approx(WRONG if background in careless else 0, abs=0.05)


def test_which_sources_are_careless_differs_from_world_to_world() -> None:
    assert {next(iter(careless_backgrounds(seed, 1))) for seed in range(30)} == set(BACKGROUNDS)
    assert all(careless_backgrounds(seed, 1) < careless_backgrounds(seed, 2) for seed in range(30))


@pytest.mark.parametrize("wanted", [0.0, 0.2, 0.6])
def test_near_duplicates_repeat_an_earlier_record_in_a_new_picture(wanted: float, tmp_path: Path) -> None:
    settings = SMALL.model_copy(update={"near_duplicates": wanted})
    seen: set[int] = set()
    repeated = []
    for question in (drawn := questions("bank", 1500, settings)):
        repeated.append(id(question) in seen)
        seen.add(id(question))
    assert len(drawn) == 1500
    assert share(repeated) == pytest.approx(wanted, abs=0.04)
    make_world(tmp_path / "w", settings)
    pictures = {path.read_bytes() for path in (tmp_path / "w" / "bank2014").glob("*.png")}
    assert len(pictures) == settings.bank


def test_without_a_bank_the_train_split_is_the_archive(tmp_path: Path) -> None:
    settings = SMALL.model_copy(update={"bank": None})
    make_world(tmp_path / "w", settings)
    assert not list((tmp_path / "w").glob("*bank2014*"))
    archive = questions("train", 400, settings)
    assert "pair" not in {question.kind for question in archive}
    assert not all(is_right(question, settings) for question in archive)


@pytest.mark.parametrize("difficulty", [
    {"bank": 81}, {"careless_sources": 0}, {"near_duplicates": 0.0}, {"direct_answers": True},
])  # fmt: skip
def test_a_difficulty_of_the_bank_leaves_the_queries_as_they_are(difficulty: dict[str, object]) -> None:
    other = SMALL.model_copy(update=difficulty)
    for split in ("train", "val", "test"):
        assert questions(split, 50, SMALL) == questions(split, 50, other)


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


class OfficialApi:
    """What the official evaluation code of VQA does with its files: it indexes them, and loads results."""

    def __init__(self, annotations: Path, questions: Path) -> None:
        self.dataset, self.questions = (json.loads(path.read_text()) for path in (annotations, questions))
        self.of_question = {row["question_id"]: row for row in self.dataset["annotations"]}
        self.asked = {row["question_id"]: row for row in self.questions["questions"]}
        assert self.of_question.keys() == self.asked.keys()

    def load_results(self, results: list[dict[str, object]]) -> dict[str, object]:
        blocks = ("info", "task_type", "data_type", "data_subtype", "license")
        assert {row["question_id"] for row in results} == self.of_question.keys()
        for row in results:
            of = self.of_question[row["question_id"]]
            row |= {name: of[name] for name in ("image_id", "question_type", "answer_type")}
        return {name: self.questions[name] for name in blocks} | {"annotations": results}


def test_the_official_api_loads_the_world_and_its_results(tmp_path: Path) -> None:
    make_world(tmp_path / "w", WorldSettings(seed=3, bank=4, train=3, val=2, test=5))
    for answers in sorted((tmp_path / "w").glob("mscoco_*_annotations.json")):
        questions = answers.with_name(f"OpenEnded_{answers.name.replace('annotations', 'questions')}")
        api = OfficialApi(answers, questions)
        loaded = api.load_results([{"question_id": number, "answer": "red"} for number in api.asked])
        assert set(loaded["license"]) == set(api.dataset["license"]) == {"name", "url"}
        assert len(loaded["annotations"]) == len(api.asked) > 0


@pytest.mark.parametrize("damage", ["zeros", "empty", "absent"])
def test_a_file_that_is_not_what_was_drawn_is_named(tmp_path: Path, damage: str) -> None:
    make_world(tmp_path / "w", SMALL)
    check_world(tmp_path / "w")
    image = sorted((tmp_path / "w" / "bank2014").iterdir())[7]
    drawn = image.read_bytes()
    if damage == "absent":
        image.unlink()
    else:
        image.write_bytes(b"" if damage == "empty" else drawn[:-40] + bytes(40))
    with pytest.raises(DataError, match=image.name):
        check_world(tmp_path / "w")
    image.write_bytes(drawn)
    check_world(tmp_path / "w")


def test_a_world_of_an_older_version_is_taken_as_it_is(tmp_path: Path) -> None:
    make_world(tmp_path / "w", SMALL)
    (tmp_path / "w" / "contents.json").unlink()
    next((tmp_path / "w" / "bank2014").iterdir()).write_bytes(b"changed")
    check_world(tmp_path / "w")
