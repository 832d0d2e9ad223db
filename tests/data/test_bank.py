"""A bank of its own: files in any format, shown to queries of any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from shotsmith.data.load import load_splits
from shotsmith.data.splits import Splits
from shotsmith.errors import DataError, RecipeError
from shotsmith.recipe import parse_recipe
from shotsmith.records import Example


def table_of(folder: Path, name: str, count: int, **more: object) -> Path:
    """A table of questions about images of its own, in a folder of its own."""
    (folder / name).mkdir()
    rows = []
    for number in range(count):
        Image.new("RGB", (4, 4), (number, len(name), ord(name[0]))).save(folder / name / f"{number}.png")
        rows.append(
            {"image": f"{number}.png", "question": f"{name} {number}?", "answers": [f"{name} {number}"], **more}
        )
    file = folder / name / "metadata.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Any]:
    """The data section of a small table."""
    train, test = (table_of(tmp_path, name, count) for name, count in (("train", 10), ("test", 4)))
    return {"table": {"train": str(train), "test": str(test), "val_share": 0.2}}


def loaded(data: dict[str, Any], folder: Path | None = None, **options: Any) -> Splits:
    return load_splits(parse_recipe({"data": data}).data, folder, **options)


def told(bank: tuple[Example, ...]) -> list[tuple[str, str]]:
    return [(example.question, example.answer) for example in bank]


def test_without_files_of_its_own_the_bank_is_the_train_split(tables: dict[str, Any]) -> None:
    splits = loaded(tables)
    assert splits.own_bank is None
    assert splits.bank == splits.train


def test_a_bank_of_a_table_has_its_own_columns_and_images(tables: dict[str, Any], tmp_path: Path) -> None:
    file = table_of(tmp_path, "curated", 3, caption="shown")
    bank = {"table": {"file": str(file), "columns": {"question": "caption"}}}
    splits = loaded({**tables, "bank": bank})
    assert told(splits.bank) == [("shown", f"curated {number}") for number in range(3)]
    assert {example.image.parent for example in splits.bank if example.image} == {file.parent}
    assert splits.train == loaded(tables).train


def test_rows_of_a_bank_without_ids_are_numbered_on_from_the_queries(tables: dict[str, Any], tmp_path: Path) -> None:
    splits = loaded({**tables, "bank": {"table": {"file": str(table_of(tmp_path, "curated", 3))}}})
    assert [example.id for example in splits.bank] == [14, 15, 16]


def test_a_bank_of_official_files_is_found_in_another_folder_of_images(
    tables: dict[str, Any], official_files: Any
) -> None:
    questions, annotations, images = map(str, official_files(5).paths)
    bank = {"okvqa": {"questions": questions, "annotations": annotations, "images": images}}
    assert told(loaded({**tables, "bank": bank}).bank) == [(f"what is {n}?", f"it is {n}") for n in range(1, 6)]


def test_a_bank_of_captions_is_one_split_of_their_file(tables: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "coco").mkdir()
    rows = []
    for number, split in enumerate(["train", "restval", "val", "test"]):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / "coco" / f"{number}.png")
        rows.append({"filename": f"{number}.png", "imgid": number, "split": split, "sentences": [{"raw": split}]})
    (tmp_path / "coco.json").write_text(json.dumps({"images": rows}))
    files = {"file": str(tmp_path / "coco.json"), "images": str(tmp_path / "coco"), "question": "Well?"}
    assert told(loaded({**tables, "bank": {"captions": files}}).bank) == [("Well?", "train"), ("Well?", "restval")]
    assert told(loaded({**tables, "bank": {"captions": {**files, "split": "val"}}}).bank) == [("Well?", "val")]


def test_a_bank_from_the_hub_is_one_split_of_a_data_set(tables: dict[str, Any], tmp_path: Path) -> None:
    rows = [
        {"image": str(tmp_path / "train" / "0.png"), "question": f"what is {n}?", "answers": "it"} for n in range(2)
    ]
    data = datasets.DatasetDict(
        {"train": datasets.Dataset.from_list(rows), "extra": datasets.Dataset.from_list(rows[:1])}
    )
    data.save_to_disk(str(tmp_path / "saved"))
    bank = {"hub": {"dataset": str(tmp_path / "saved"), "question": "{text} Say it."}}
    splits = loaded({**tables, "bank": bank}, tmp_path / "pictures")
    assert told(splits.bank) == [("what is 0? Say it.", "it"), ("what is 1? Say it.", "it")]
    extra = {"hub": {**bank["hub"], "split": "extra"}}
    assert len(loaded({**tables, "bank": extra}, tmp_path / "pictures").bank) == 1


def texts_of(folder: Path, name: str, count: int) -> str:
    lines = [f"{name} {number}\t{number % 2}" for number in range(count)]
    (folder / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *lines]))
    return str(folder / f"{name}.tsv")


def test_a_bank_of_texts_is_shown_to_texts_and_measured_as_the_queries_are(tmp_path: Path) -> None:
    train, test, curated = (texts_of(tmp_path, name, 6) for name in ("train", "test", "curated"))
    data = {"texts": {"train": train, "test": test, "val_share": 0.5}}
    bank = {"texts": {"file": curated, "question": "Is it? {text}", "label_names": {"0": "no", "1": "yes"}}}
    recipe = parse_recipe({"data": {**data, "bank": bank}}).data
    assert recipe.metric == "exact_match"
    assert told(load_splits(recipe).bank)[:2] == [("Is it? curated 0", "no"), ("Is it? curated 1", "yes")]


def test_a_bank_that_cannot_serve_the_queries_is_refused(tables: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.bank: has no images, but the queries have"):
        loaded({**tables, "bank": {"texts": {"file": texts_of(tmp_path, "curated", 4)}}})
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match=r"data.bank: has no examples"):
        loaded({**tables, "bank": {"table": {"file": str(tmp_path / "empty.jsonl")}}})


def test_a_bank_may_hold_copies_of_queries_under_other_names(tables: dict[str, Any], tmp_path: Path) -> None:
    """They are barred from the queries they equal (see test_barring), and so need not stop the run."""
    file = table_of(tmp_path, "curated", 3)
    (tmp_path / "curated" / "0.png").write_bytes((tmp_path / "test" / "0.png").read_bytes())
    assert len(loaded({**tables, "bank": {"table": {"file": str(file)}}}).bank) == 3


def test_what_is_bad_in_a_bank_is_left_out_with_skip_bad(tables: dict[str, Any], tmp_path: Path) -> None:
    file = table_of(tmp_path, "curated", 4)
    (tmp_path / "curated" / "1.png").write_bytes(b"no image")
    file.write_text(file.read_text() + "\nno JSON")
    data = {**tables, "skip_bad": True, "bank": {"table": {"file": str(file)}}}
    for _ in range(2):  # the second time by the list alone
        splits = loaded(data, skipped=tmp_path / "skipped.jsonl")
        assert [example.answer for example in splits.bank] == ["curated 0", "curated 2", "curated 3"]
    with pytest.raises(DataError, match="not valid JSON"):
        loaded({**data, "skip_bad": False})


def test_a_bank_names_exactly_one_set_of_files(tables: dict[str, Any]) -> None:
    for bank in ({}, {"table": {"file": "a"}, "texts": {"file": "b"}}):
        with pytest.raises(
            RecipeError, match=r"data.bank: give exactly one of 'okvqa', 'table', 'captions', 'texts' and"
        ):
            parse_recipe({"data": {**tables, "bank": bank}})
