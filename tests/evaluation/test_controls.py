"""Controls change one thing about a prompt and nothing else, in the same way every time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_tasks import ScriptedVLM, make_example, make_tasks

from shotsmith.completions.store import request_key
from shotsmith.errors import InputError
from shotsmith.evaluation.controls import (
    CONTROLS,
    answers_shown,
    blank_image,
    check_controls,
    control_name,
    control_of,
    evaluate_controls,
    in_random_order,
    with_shuffled_labels,
)
from shotsmith.evaluation.evaluate import Entrant, evaluate
from shotsmith.evaluation.free import is_free
from shotsmith.evaluation.results import Result
from shotsmith.recipe.evaluation import Control
from shotsmith.records import Completion, Request
from shotsmith.selectors.protocol import Tasks
from shotsmith.selectors.similar import mixed
from shotsmith.selectors.zero_shot import ZeroShot


def picture(file: Path, size: tuple[int, int] = (6, 4), *, levels: tuple[int, int] = (0, 100)) -> Path:
    """Half of it in one grey level, half in another."""
    pixels = np.full((size[1], size[0], 3), levels[0], dtype=np.uint8)
    pixels[:, size[0] // 2 :] = levels[1]
    Image.fromarray(pixels).save(file)
    return file


@pytest.fixture
def tasks(tmp_path: Path) -> Tasks:
    made = make_tasks(queries=4, index=20, pool=8)
    queries = tuple(
        replace(query, images=(picture(tmp_path / f"{query.id}.png", levels=(0, 10 * row)),))
        for row, query in enumerate(made.queries)
    )
    return replace(made, queries=queries)


@pytest.fixture
def vlm() -> ScriptedVLM:
    return ScriptedVLM(lambda request: Completion(request.demonstrations[-1].answer if request.demonstrations else "?"))


def controlled(
    tasks: Tasks, vlm: ScriptedVLM, folder: Path, *controls: Control, selectors: tuple[str, ...] = ("mixed",)
) -> tuple[list[Result], list[Result], list[Request]]:
    """Results of the selectors, those of their controls, and what was asked for the controls."""
    entrants = [Entrant(mixed()), Entrant(replace(mixed(), name="grpo"), seed=3), Entrant(ZeroShot())]
    results = evaluate(tasks, entrants, (1, 3), vlm.ask)
    vlm.calls.clear()
    rows = evaluate_controls(tasks, results, selectors, controls, vlm.ask, blanks=folder / "blank", seed=0)
    (asked,) = vlm.calls
    return results, rows, asked


def test_the_rows_keep_query_seed_shots_and_demonstrations(tasks: Tasks, vlm: ScriptedVLM, tmp_path: Path) -> None:
    results, rows, _ = controlled(tasks, vlm, tmp_path, *CONTROLS, selectors=("grpo",))
    own = [(r.query_id, r.seed, r.shots, sorted(r.sequence)) for r in results if r.selector == "grpo"]
    for control in CONTROLS:
        named = [row for row in rows if row.selector == f"grpo_{control}"]
        assert [(r.query_id, r.seed, r.shots, sorted(r.sequence)) for r in named] == own
    assert len(rows) == 3 * len(own)


def test_a_blank_image_changes_the_querys_image_alone(tasks: Tasks, vlm: ScriptedVLM, tmp_path: Path) -> None:
    results, rows, asked = controlled(tasks, vlm, tmp_path, "blank_image")
    originals = {query.id: query for query in tasks.queries}
    for request in asked:
        query = originals[request.query.id]
        assert replace(request.query, images=query.images) == query
        with Image.open(request.query.images[0]) as blank, Image.open(query.images[0]) as image:
            assert blank.size == image.size
            assert len(np.unique(np.asarray(blank))) == 1
        assert all(one in tasks.index for one in request.demonstrations)
    assert [row.sequence for row in rows] == [r.sequence for r in results if r.selector == "mixed"]


def test_a_blank_image_has_a_key_of_its_own_in_the_store(tmp_path: Path) -> None:
    dark, light = (picture(tmp_path / f"{level}.png", levels=(level, level)) for level in (20, 30))
    mixture = picture(tmp_path / "mixture.png", levels=(0, 40))
    other = picture(tmp_path / "other.png", levels=(15, 25))
    blank = {image: blank_image(image, tmp_path / "blank") for image in (dark, light, mixture, other)}
    keys = {
        image: request_key(Request(replace(make_example(1), images=(image,))), "vlm")
        for image in (*blank, *blank.values())
    }
    assert keys[blank[mixture]] != keys[mixture] and keys[blank[light]] != keys[blank[mixture]]
    assert blank[mixture] == blank[other] == blank[dark]  # the same grey of the same size is one file
    assert blank_image(mixture, tmp_path / "again").read_bytes() == blank[mixture].read_bytes()


def test_the_grey_is_the_mean_of_the_image(tmp_path: Path) -> None:
    with Image.open(blank_image(picture(tmp_path / "a.png", levels=(10, 90)), tmp_path)) as blank:
        assert blank.getpixel((0, 0)) == (50, 50, 50)


kinds = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["red", "blue", "2"])), min_size=1, max_size=12)


@given(kinds, st.integers(0, 5))
def test_shuffled_labels_are_a_permutation_within_each_kind(given_kinds: list[tuple[str, str]], seed: int) -> None:
    index = [
        replace(make_example(number, (answer,) * 10), question_type=kind)
        for number, (kind, answer) in enumerate(given_kinds)
    ]
    shuffled = with_shuffled_labels(index, seed)
    assert [replace(new, answers=old.answers) for new, old in zip(shuffled, index, strict=True)] == index
    for kind in "ab":
        before, after = (Counter(e.answers for e in some if e.question_type == kind) for some in (index, shuffled))
        assert before == after
    assert shuffled == with_shuffled_labels(index, seed)


def test_shuffled_labels_move_and_depend_on_the_seed() -> None:
    index = [replace(make_example(number), question_type="kind") for number in range(40)]
    once, other = (with_shuffled_labels(index, seed) for seed in (0, 1))
    assert sum(new.answers != old.answers for new, old in zip(once, index, strict=True)) > 30
    assert once != other


def test_a_question_with_options_gets_one_of_its_own() -> None:
    index = [
        replace(make_example(number, (f"yes {number}",)), options=(f"yes {number}", f"no {number}"))
        for number in range(30)
    ]
    shuffled = with_shuffled_labels(index, 0)
    assert all(new.answers[0] in new.options and len(new.answers) == 1 for new in shuffled)
    assert {new.answer.split()[0] for new in shuffled} == {"yes", "no"}


def test_the_answers_shown_are_those_of_the_prompt(tasks: Tasks, vlm: ScriptedVLM, tmp_path: Path) -> None:
    results, rows, _ = controlled(tasks, vlm, tmp_path, *CONTROLS)
    shown = answers_shown(tasks.index, 0)
    assert all(row.text == shown(row)[-1] for row in rows)  # this VLM repeats the last demonstration
    moved = [row for row in rows if row.selector == "mixed_shuffled_labels" and row.text != f"it is {row.sequence[-1]}"]
    assert moved
    some = next(row for row in results if row.selector == "mixed" and row.shots == 3)
    assert shown(replace(some, left_out=1)) == shown(some)[1:]


@given(st.lists(st.integers(0, 50), unique=True, max_size=6), st.integers(0, 9))
def test_a_shuffled_order_holds_the_same_demonstrations(sequence: list[int], query: int) -> None:
    shuffled = in_random_order(tuple(sequence), query, 0)
    assert sorted(shuffled) == sorted(sequence)
    assert shuffled == in_random_order(tuple(sequence), query, 0)


def test_every_order_is_about_equally_likely() -> None:
    orders = Counter(in_random_order((4, 5, 6), query, 0) for query in range(600))
    assert len(orders) == 6 and min(orders.values()) > 60


def test_a_selector_that_shows_nothing_has_blank_images_alone(tasks: Tasks, vlm: ScriptedVLM, tmp_path: Path) -> None:
    _, rows, asked = controlled(tasks, vlm, tmp_path, *CONTROLS, selectors=("zero_shot",))
    assert {row.selector for row in rows} == {"zero_shot_blank_image"}
    assert len(asked) == len(tasks.queries)  # one prompt for all numbers of shots


def test_two_selectors_with_the_same_sequences_are_asked_once(tasks: Tasks, vlm: ScriptedVLM, tmp_path: Path) -> None:
    once, twice = (
        len(controlled(tasks, vlm, tmp_path, *CONTROLS, selectors=names)[2])
        for names in (("mixed",), ("mixed", "grpo"))
    )
    assert once == twice


def test_names_say_selector_and_control() -> None:
    assert control_name("grpo", "blank_image") == "grpo_blank_image"
    for selector in ("mixed", "mixed@bank", "grpo"):
        for control in CONTROLS:
            name = control_name(selector, control)
            assert control_of(name) == (selector, control)
            assert name.endswith("@bank") == selector.endswith("@bank") and not is_free(name)
    assert control_of("mixed") is None and control_of("grpo_reversed@bank") is None


def test_images_that_are_not_there_cannot_be_blanked() -> None:
    texts = [replace(make_example(number), images=()) for number in range(3)]
    with pytest.raises(InputError, match=r"evaluation.controls: the test queries have no images to blank"):
        check_controls(["blank_image"], texts)
    check_controls(["shuffled_order", "shuffled_labels"], texts)
    check_controls(["blank_image"], [*texts, make_example(9)])
