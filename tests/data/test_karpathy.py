from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from shotsmith.data.karpathy import read_karpathy
from shotsmith.data.load import load_splits
from shotsmith.errors import DataError
from shotsmith.recipe import CaptionsSettings, DataSettings

SPLITS = ("train", "restval", "val", "test", "train")


@pytest.fixture
def rows(tmp_path: Path) -> list[dict]:
    """A row of each split in exactly the official layout."""
    found = []
    for number, split in enumerate(SPLITS):
        folder = "train2014" if split == "train" else "val2014"
        name = f"COCO_{folder}_{100 + number:012d}.jpg"
        (tmp_path / folder).mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (50 * number, 0, 0)).save(tmp_path / folder / name)
        sentences = [
            {"tokens": ["a", "dog"], "raw": f"A dog, number {number}. ", "imgid": number, "sentid": 5 * number + place}
            for place in range(5)
        ]
        ids = {"sentids": [sentence["sentid"] for sentence in sentences], "imgid": number, "cocoid": 100 + number}
        found.append({"filepath": folder, "filename": name, "split": split, "sentences": sentences} | ids)
    return found


def write(folder: Path, rows: list[dict]) -> Path:
    file = folder / "dataset_coco.json"
    file.write_text(json.dumps({"images": rows, "dataset": "coco"}), encoding="utf-8-sig")
    return file


def test_images_are_examples_and_restval_is_train(tmp_path: Path, rows: list[dict]):
    settings = CaptionsSettings(file=write(tmp_path, rows), images=tmp_path, question="What is there?")
    splits = load_splits(DataSettings(captions=settings))
    assert [[one.id for one in part] for part in splits.named().values()] == [[100, 101, 104], [102], [103]]
    second = splits.train[1]
    assert second.image == tmp_path / "val2014" / "COCO_val2014_000000000101.jpg"
    assert (second.question, second.answers) == ("What is there?", ("A dog, number 1.",) * 5)
    assert DataSettings(captions=settings).metric == "cider"


def test_files_without_coco_s_ids_and_folders_are_read(tmp_path: Path, rows: list[dict]):
    for row in rows:
        del row["cocoid"]
        del row["filepath"]
        Image.new("RGB", (4, 4)).save(tmp_path / row["filename"])
    splits = read_karpathy(write(tmp_path, rows), tmp_path, "what?")
    assert [one.id for one in splits.train] == [0, 1, 4]


SPOILT = {
    "another split": ({"split": "dev"}, "split"),
    "an image that is not there": ({"filename": "none.jpg"}, "filename"),
    "an id twice": ({"cocoid": 100}, "cocoid"),
    "NaN as id": ({"cocoid": float("nan")}, "cocoid"),
    "no captions": ({"sentences": []}, "sentences"),
    "a blank caption": ({"sentences": [{"raw": " "}]}, "sentences[0].raw"),
    "a caption without text": ({"sentences": [{"raw": "a"}, {"tokens": []}]}, "sentences[1]"),
}


@pytest.mark.parametrize(("change", "field"), SPOILT.values(), ids=SPOILT)
def test_a_bad_row_is_named_or_skipped_alone(tmp_path: Path, rows: list[dict], change: dict, field: str):
    rows[1].update(change)
    file = write(tmp_path, rows)
    with pytest.raises(DataError) as caught:
        read_karpathy(file, tmp_path, "what?")
    assert (caught.value.file, caught.value.row, caught.value.field) == (str(file), 1, field)
    faults: list[DataError] = []
    splits = read_karpathy(file, tmp_path, "what?", faults.append)
    assert [one.id for one in splits.train] == [100, 104] and len(faults) == 1
