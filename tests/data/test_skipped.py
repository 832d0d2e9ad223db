"""The defects of real downloads: each stops with an error that names it, or is left out and listed."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shotsmith.data.images import load_image
from shotsmith.data.load import load_splits
from shotsmith.data.splits import Splits
from shotsmith.errors import DataError
from shotsmith.recipe import DataSettings, OkvqaSettings, TableColumns, TableSettings


def settings_of(train, test, skip_bad: bool = True) -> DataSettings:
    sections = {
        f"{split}_{kind}": path
        for split, files in (("train", train), ("test", test))
        for kind, path in zip(("questions", "annotations", "images"), files.write(), strict=True)
    }
    return DataSettings(okvqa=OkvqaSettings(**sections, val_share=0.0), skip_bad=skip_bad)


def ids(splits: Splits) -> list[int]:
    return [example.id for part in splits.named().values() for example in part]


def listed(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def cut(path: Path) -> None:
    """Put a photograph there of which half has arrived."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) * 3 // 4])


ROWS = {
    "a missing image": lambda files: files.image(1).unlink(),
    "an id twice": lambda files: files.questions["questions"][1].update(question_id=1),
    "an empty list of answers": lambda files: files.annotations["annotations"][1].update(answers=[]),
    "NaN in place of an image id": lambda files: files.questions["questions"][1].update(image_id=float("nan")),
    "NaN in place of a question": lambda files: files.questions["questions"][1].update(question=float("nan")),
    "NaN in place of an id": lambda files: files.questions["questions"][1].update(question_id=float("nan")),
    "a row that is no object": lambda files: files.questions["questions"].__setitem__(1, 5),
}


@pytest.mark.parametrize("spoil", ROWS.values(), ids=ROWS)
def test_a_bad_row_stops_the_run_with_its_place_or_is_left_out_alone(official_files, tmp_path, spoil: Callable):
    train, test = official_files(4), official_files(3, "val2014", first=100)
    spoil(train)
    with pytest.raises(DataError) as caught:
        load_splits(settings_of(train, test, skip_bad=False))
    assert caught.value.row == 1
    assert caught.value.file in map(str, train.paths)
    skipped = tmp_path / "skipped.jsonl"
    assert ids(load_splits(settings_of(train, test), skipped=skipped)) == [1, 3, 4, 100, 101, 102]
    (fault,) = listed(skipped)
    assert (fault["file"], fault["row"]) == (caught.value.file, 1)
    assert fault["problem"] == caught.value.problem


def test_an_image_cut_short_is_left_out_with_all_its_questions_and_listed(official_files, tmp_path, caplog):
    train, test = official_files(4), official_files(3, "val2014", first=100)
    train.questions["questions"][2]["image_id"] = train.annotations["annotations"][2]["image_id"] = 20
    cut(train.image(1))
    skipped = tmp_path / "skipped.jsonl"
    with caplog.at_level(logging.WARNING):
        assert ids(load_splits(settings_of(train, test), skipped=skipped)) == [1, 4, 100, 101, 102]
    (fault,) = listed(skipped)
    assert fault["file"] == str(train.image(1))
    assert "questions 2, 3" in fault["problem"]
    assert "1 faults in the data, left out" in caplog.text and str(train.image(1)) in caplog.text
    with pytest.raises(DataError, match="damaged"):
        load_image(train.image(1))


def test_the_list_decides_at_later_looks_and_no_picture_is_decoded_again(official_files, tmp_path, monkeypatch):
    train, test = official_files(4), official_files(3, "val2014", first=100)
    whole = train.image(1).read_bytes()
    cut(train.image(1))
    settings, skipped = settings_of(train, test), tmp_path / "skipped.jsonl"
    first = load_splits(settings, skipped=skipped)
    train.image(1).write_bytes(whole)
    monkeypatch.setattr("shotsmith.data.skipped.load_image", lambda path: pytest.fail(f"decoded {path}"))
    assert load_splits(settings, skipped=skipped) == first


def test_a_row_that_went_bad_after_the_list_was_made_is_an_error(official_files, tmp_path):
    train, test = official_files(4), official_files(3, "val2014", first=100)
    settings, skipped = settings_of(train, test), tmp_path / "skipped.jsonl"
    load_splits(settings, skipped=skipped)
    assert listed(skipped) == []
    train.image(2).unlink()
    with pytest.raises(DataError, match="there is no image"):
        load_splits(settings, skipped=skipped)


def test_a_byte_order_mark_is_no_fault(official_files):
    train, test = official_files(2), official_files(2, "val2014", first=100)
    settings = settings_of(train, test, skip_bad=False)
    for file in train.paths[:2]:
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert ids(load_splits(settings)) == [1, 2, 100, 101]


@pytest.mark.parametrize(
    "wrap", [lambda rows: rows, lambda rows: {"annotations": rows}, lambda rows: {"questions": rows}]
)
def test_the_merged_form_gives_the_same_examples(official_files, tmp_path: Path, wrap: Callable):
    train, test = official_files(4), official_files(3, "val2014", first=100)
    settings = settings_of(train, test, skip_bad=False)
    merged = {}
    for split, files in (("train", train), ("test", test)):
        pairs = zip(files.questions["questions"], files.annotations["annotations"], strict=True)
        file = tmp_path / f"vqav2_mscoco_{files.subtype}.json"
        file.write_text(json.dumps(wrap([question | annotation for question, annotation in pairs])))
        merged |= {f"{split}_questions": file, f"{split}_images": files.paths[2]}
    joined = DataSettings(okvqa=OkvqaSettings(**merged, val_share=0.0))
    assert load_splits(joined) == load_splits(settings)


def test_tables_without_ids_share_none_and_their_splits_follow_the_settings(official_files, tmp_path: Path):
    files = official_files(9)
    names = [files.image(row).name for row in range(9)]
    for split, part in (("train", names[:5]), ("val", names[5:7]), ("test", names[7:])):
        rows = [json.dumps({"image": name, "question": "what?", "answers": "red"}) for name in part]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(rows))
    table = TableSettings(
        train=tmp_path / "train.jsonl",
        val=tmp_path / "val.jsonl",
        test=tmp_path / "test.jsonl",
        images=files.paths[2],
        columns=TableColumns(),
    )
    splits = load_splits(DataSettings(table=table))
    assert [[example.id for example in part] for part in splits.named().values()] == [[0, 1, 2, 3, 4], [5, 6], [7, 8]]
    shared = load_splits(DataSettings(table=table.model_copy(update={"val": None, "val_share": 0.4})))
    assert [len(part) for part in shared.named().values()] == [3, 2, 2]
    (tmp_path / "test.jsonl").write_text((tmp_path / "train.jsonl").read_text())
    with pytest.raises(DataError, match=r"image \d+ is in the train and test splits"):
        load_splits(DataSettings(table=table))
