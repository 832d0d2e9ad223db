from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.data.splits import Splits, check_disjoint, choose_queries, split_by_image
from shotsmith.errors import DataError
from shotsmith.records import Example


def example(number: int, image_id: int | None = None, question_type: str = "", image: Path | None = None) -> Example:
    image_id = number if image_id is None else image_id
    return Example(number, (image or Path(f"{image_id}.png"),), image_id, "what?", ("red",), question_type)


def stored(folder: Path, number: int, content: bytes, image_id: int | None = None) -> Example:
    folder.mkdir(exist_ok=True)
    path = folder / f"{number if image_id is None else image_id}.png"
    path.write_bytes(content)
    return example(number, image_id, image=path)


def test_splits_that_share_nothing_pass(tmp_path: Path):
    train, test = tmp_path / "train", tmp_path / "test"
    splits = Splits((stored(train, 1, b"a"),), (stored(train, 2, b"b"),), (stored(test, 3, b"c"),))
    check_disjoint(splits)


def test_a_question_in_two_splits_is_refused(tmp_path: Path):
    folder = tmp_path / "images"
    splits = Splits((stored(folder, 1, b"a", 1),), (), (stored(folder, 1, b"b", 2),))
    with pytest.raises(DataError, match="question 1 is in the train and test splits"):
        check_disjoint(splits)


def test_an_image_in_two_splits_is_refused_even_under_two_questions(tmp_path: Path):
    folder = tmp_path / "images"
    splits = Splits((), (stored(folder, 1, b"a", 7),), (stored(folder, 2, b"a", 7),))
    with pytest.raises(DataError, match="image 7 is in the val and test splits"):
        check_disjoint(splits)


def test_the_same_picture_under_two_ids_in_two_folders_is_refused(tmp_path: Path):
    twin = stored(tmp_path / "test", 2, b"same")
    splits = Splits((stored(tmp_path / "train", 1, b"same"),), (), (stored(tmp_path / "test", 3, b"else"), twin))
    with pytest.raises(DataError, match="same picture as") as caught:
        check_disjoint(splits)
    assert caught.value.file == str(twin.image)


def test_pictures_of_equal_size_but_other_content_pass(tmp_path: Path):
    check_disjoint(Splits((stored(tmp_path / "a", 1, b"abc"),), (), (stored(tmp_path / "b", 2, b"xyz"),)))


def test_an_image_that_vanished_is_named(tmp_path: Path):
    gone = stored(tmp_path / "b", 2, b"b")
    gone.image.unlink()
    with pytest.raises(DataError) as caught:
        check_disjoint(Splits((stored(tmp_path / "a", 1, b"a"),), (), (gone,)))
    assert caught.value.file == str(gone.image)


@given(st.lists(st.integers(0, 20), max_size=40), st.floats(0, 1), st.integers(0, 5))
def test_setting_images_aside_loses_nothing_and_never_tears_an_image_apart(images, share, seed):
    examples = [example(number, image) for number, image in enumerate(images)]
    kept, aside = split_by_image(examples, share, seed)
    assert sorted(kept + aside, key=lambda one: one.id) == examples
    assert {one.image_id for one in kept}.isdisjoint(one.image_id for one in aside)
    assert len({one.image_id for one in aside}) == round(share * len(set(images)))
    assert list(kept) == sorted(kept, key=lambda one: one.id)


def test_which_images_are_set_aside_follows_from_the_seed_and_not_from_the_order_of_rows():
    examples = [example(number) for number in range(100)]
    _, aside = split_by_image(examples, 0.2, 3)
    _, aside_reversed = split_by_image(examples[::-1], 0.2, 3)
    assert set(aside) == set(aside_reversed)
    assert split_by_image(examples, 0.2, 3)[1] == aside
    assert split_by_image(examples, 0.2, 4)[1] != aside


@given(st.integers(1, 60), st.integers(0, 5), st.booleans(), st.data())
def test_queries_are_distinct_rows_and_fewer_are_a_prefix_of_more(total, seed, balance, data):
    examples = [example(number, question_type=str(number % 7 // 2)) for number in range(total)]
    count = data.draw(st.integers(0, total))
    rows = choose_queries(examples, count, seed, balance)
    everything = choose_queries(examples, total, seed, balance)
    assert rows == everything[:count]
    assert sorted(everything) == list(range(total))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.data())
def test_balanced_queries_are_as_even_over_the_question_types_as_the_data_allow(sizes, data):
    types = [str(kind) for kind, size in enumerate(sizes) for _ in range(size)]
    examples = [example(number, question_type=kind) for number, kind in enumerate(types)]
    count = data.draw(st.integers(0, len(types)))
    drawn = Counter(types[row] for row in choose_queries(examples, count, 0, balance=True))
    for kind, available in Counter(types).items():
        # A type that has more to give is at most one behind any other.
        if drawn[kind] < available:
            assert all(other <= drawn[kind] + 1 for other in drawn.values())


def test_queries_drawn_without_balance_follow_the_seed():
    examples = [example(number) for number in range(200)]
    assert choose_queries(examples, 50, 1) == choose_queries(examples, 50, 1)
    assert choose_queries(examples, 50, 1) != choose_queries(examples, 50, 2)
    assert max(choose_queries(examples, 50, 1)) > 100


def test_more_queries_than_examples_are_all_of_them():
    assert sorted(choose_queries([example(1), example(2)], 3, 0)) == [0, 1]


def bare(number: int, text: str) -> Example:
    return Example(number, (), len(text), text, ("red",))


def test_the_same_text_without_an_image_in_two_splits_is_refused():
    check_disjoint(Splits((bare(1, "good"),), (bare(2, "so-so"),), (bare(3, "better"),)))
    with pytest.raises(DataError, match="text 'good' is in the train and test splits") as caught:
        check_disjoint(Splits((bare(1, "good"),), (), (bare(3, "good"),)))
    assert (caught.value.row, caught.value.field) == (3, "question")


def test_texts_are_set_aside_together():
    examples = [bare(number, "x" * (1 + number % 5)) for number in range(20)]
    kept, aside = split_by_image(examples, 0.4, 0)
    assert len(aside) == 8 and {one.question for one in kept}.isdisjoint(one.question for one in aside)


def several(number: int, *names: str) -> Example:
    return Example(number, tuple(Path(name) for name in names), number, "what?", ("red",))


def test_examples_that_share_an_image_directly_or_through_others_are_set_aside_together():
    chain = [several(n, f"{n}.png", f"{n + 1}.png") for n in (3, 5, 1, 4, 2)]
    others = [several(n, f"{n}.png") for n in range(10, 30)]
    for seed in range(20):
        kept, aside = split_by_image([*others, *chain], 0.5, seed)
        assert len(set(chain) & set(aside)) in (0, 5) and len(kept) + len(aside) == 25
        assert len({one.image_id for one in aside if one.id >= 10} | {1 for one in aside if one.id < 10}) == 10


def test_splits_whose_examples_share_one_of_several_images_are_refused(tmp_path: Path):
    first, second, third = (stored(tmp_path, number, bytes([number])) for number in (1, 2, 3))
    both = Example(9, (*third.images, *first.images), 9, "what?", ("red",))
    with pytest.raises(DataError, match="train and test splits") as caught:
        check_disjoint(Splits((first,), (second,), (both,)))
    assert caught.value.file == str(first.image)
