"""The same data are the same data wherever they lie, and two names of one picture are one picture."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_table import settings, table

from shotsmith.data.barring import BarringIndex
from shotsmith.data.load import load_splits
from shotsmith.data.splits import Splits
from shotsmith.data.twins import twin_rows
from shotsmith.errors import DataError


def ids(splits: Splits) -> dict[str, list[int]]:
    return {name: [example.id for example in part] for name, part in splits.named().items()}


def image_ids(splits: Splits) -> list[int]:
    return [example.image_id for part in splits.named().values() for example in part]


def test_the_same_table_in_two_folders_has_the_same_splits(tmp_path: Path) -> None:
    first, second = (load_splits(table(tmp_path / name)) for name in ("here", "there/deeper"))
    assert ids(first) == ids(second)
    assert image_ids(first) == image_ids(second)


def test_a_renamed_folder_symlinks_and_absolute_paths_change_nothing(tmp_path: Path) -> None:
    first = load_splits(table(tmp_path / "data"))
    (tmp_path / "data").rename(tmp_path / "renamed")
    assert ids(load_splits(settings(tmp_path / "renamed"))) == ids(first)
    absolute = tmp_path / "absolute"
    assert ids(load_splits(table(absolute, prefix=f"{absolute}/"))) == ids(first)
    outside = tmp_path / "outside"
    linked = table(outside, prefix="../elsewhere/")
    shutil.move(outside / "pictures", tmp_path / "kept")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "pictures").symlink_to(tmp_path / "kept")
    assert image_ids(load_splits(linked)) == image_ids(first)


def test_runs_of_older_versions_keep_the_ids_they_were_made_with(tmp_path: Path) -> None:
    here, there = table(tmp_path / "here"), table(tmp_path / "there")
    old = load_splits(here, image_ids="place")
    assert image_ids(old) == image_ids(load_splits(here, image_ids="place"))
    assert set(image_ids(old)).isdisjoint(image_ids(load_splits(there, image_ids="place")))


def test_two_names_of_one_picture_are_set_aside_for_validation_together(tmp_path: Path) -> None:
    data = table(tmp_path)
    for number in range(10):
        shutil.copy(tmp_path / f"pictures/train{number}.png", tmp_path / f"pictures/train{number + 10}.png")
    splits = load_splits(data)
    contents = {name: {example.image.read_bytes() for example in part} for name, part in splits.named().items()}
    assert len(contents["train"]) + len(contents["val"]) == 10
    assert contents["train"].isdisjoint(contents["val"])


def test_a_picture_of_test_that_train_has_under_another_name_stops_nothing_and_is_no_training_query(
    tmp_path: Path,
) -> None:
    data = table(tmp_path)
    shutil.copy(tmp_path / "pictures/train4.png", tmp_path / "pictures/test2.png")
    splits = load_splits(data)
    rows = twin_rows(splits.named())
    found = [(name, splits.named()[name][row].id) for name in rows for row in rows[name]]
    assert [number for _, number in found] == [4]
    assert rows["test"] == frozenset()


def test_splits_of_which_half_is_the_same_pictures_are_refused(tmp_path: Path) -> None:
    data = table(tmp_path)
    for number in range(3):
        shutil.copy(tmp_path / f"pictures/train{number}.png", tmp_path / f"pictures/test{number}.png")
    with pytest.raises(DataError, match=r"same picture as .* across"):
        load_splits(data)


def test_one_file_in_two_splits_is_refused_as_before(tmp_path: Path) -> None:
    data = table(tmp_path)
    rows = (tmp_path / "test.jsonl").read_text().replace("test2.png", "train2.png")
    (tmp_path / "test.jsonl").write_text(rows)
    with pytest.raises(DataError, match=r"is in the (train|val) and test splits"):
        load_splits(data)


def test_a_copy_in_one_folder_is_barred_from_its_query_and_counted_as_content(tmp_path: Path) -> None:
    data = table(tmp_path)
    shutil.copy(tmp_path / "pictures/train4.png", tmp_path / "pictures/test2.png")
    splits = load_splits(data)
    bank = (*splits.train, *splits.val)
    found = BarringIndex(bank).barred(splits.test)
    assert [[bank[row].id for row in rows] for rows in found.rows] == [[], [], [4], []]
    assert (found.counts["content"], found.counts["image"]) == (1, 0)
