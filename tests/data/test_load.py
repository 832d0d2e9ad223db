from __future__ import annotations

from pathlib import Path

import pytest

from shotsmith.data.load import load_splits
from shotsmith.errors import DataError
from shotsmith.recipe import DataSettings, OkvqaSettings, WorldSettings


def okvqa_settings(train, test, **others) -> DataSettings:
    sections = {
        f"{split}_{kind}": path
        for split, files in (("train", train), ("test", test))
        for kind, path in zip(("questions", "annotations", "images"), files.paths, strict=True)
    }
    return DataSettings(okvqa=OkvqaSettings(**sections, **others))


def test_okvqa_sets_validation_images_aside_from_train(official_files):
    settings = okvqa_settings(official_files(10), official_files(3, "val2014", first=100), val_share=0.3)
    splits = load_splits(settings)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (7, 3, 3)
    assert {example.id for example in splits.train + splits.val} == set(range(1, 11))


def test_a_question_in_train_and_test_is_refused(official_files):
    settings = okvqa_settings(official_files(4), official_files(2, "val2014", first=4))
    with pytest.raises(DataError, match=r"question 4 is in the (train|val) and test splits"):
        load_splits(settings)


def test_a_world_is_read_from_the_folder_it_was_written_to(official_files, tmp_path: Path):
    for first, (name, count) in enumerate((("train2014", 4), ("val2014", 2), ("test2014", 3))):
        official_files(count, name, first=100 * first)
    splits = load_splits(DataSettings(world=WorldSettings(bank=None)), tmp_path)
    assert [len(examples) for examples in splits.named().values()] == [4, 2, 3]
    assert splits.bank == splits.train
    assert splits.test[0].image == tmp_path / "test2014" / "COCO_test2014_000000002000.png"


def test_the_bank_of_a_world_is_read_beside_its_splits(official_files, tmp_path: Path):
    for first, name in enumerate(("train2014", "val2014", "test2014", "bank2014")):
        official_files(2, name, first=100 * first)
    splits = load_splits(DataSettings(world=WorldSettings()), tmp_path)
    assert [example.id for example in splits.bank] == [300, 301]
    assert [example.id for example in splits.train] == [0, 1]


def test_a_world_that_has_not_been_written_is_an_error():
    with pytest.raises(DataError, match="not been written"):
        load_splits(DataSettings(world=WorldSettings()), None)
