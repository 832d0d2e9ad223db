"""What a later stage cannot take is found where the data are read, with file and row, and left out alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from small_table import settings, table

from shotsmith.data.load import load_splits
from shotsmith.data.usable import texts_object
from shotsmith.errors import DataError
from shotsmith.recipe import DataSettings, TableSettings, VLMSettings
from shotsmith.vlms.prompting.acceptance import objection

BUILTIN = objection(VLMSettings())


def change(folder: Path, **changes: object) -> None:
    """Change the second row of the test split."""
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    rows[1].update(changes)
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def long_image(folder: Path) -> None:
    Image.new("RGB", (3000, 10)).save(folder / "pictures" / "test1.png")


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a question with the placeholder of Qwen": (
        lambda folder: change(folder, question="<|image_pad|> what?"),
        "question",
    ),
    "a question with the placeholder of LLaVA": (lambda folder: change(folder, question="<image>\nwhat?"), "question"),
    "an answer that ends the turn": (lambda folder: change(folder, answers=["red", "red<|im_end|>"]), "answers"),
    "a control token of this tokenizer alone": (lambda folder: change(folder, answers="<unk>"), "answers"),
    "an image of 3000 x 10 pixels": (long_image, "image"),
}


@pytest.mark.parametrize(("spoil", "field"), SPOILT.values(), ids=SPOILT)
def test_it_is_named_by_file_and_row_or_left_out_alone(tmp_path: Path, spoil: Callable, field: str) -> None:
    data = table(tmp_path / "data")
    spoil(tmp_path / "data")
    with pytest.raises(DataError) as caught:
        load_splits(data, objection=BUILTIN)
    assert (caught.value.file, caught.value.row) == (str(tmp_path / "data" / "test.jsonl"), 1)
    assert caught.value.field == field
    left_out, listed = data.model_copy(update={"skip_bad": True}), tmp_path / "skipped.jsonl"
    splits = load_splits(left_out, skipped=listed, objection=BUILTIN)
    assert [example.id for example in splits.test] == [20, 22, 23]
    assert "test.jsonl" in listed.read_text() and len(listed.read_text().splitlines()) == 1
    assert load_splits(left_out, skipped=listed) == splits, "the list decides at later looks"


def test_behind_a_server_long_images_and_known_control_tokens_are_found_too(tmp_path: Path) -> None:
    behind = objection(VLMSettings.model_validate({"server": {"url": "http://127.0.0.1:9/v1", "model": "m"}}))
    data = table(tmp_path)
    assert len(load_splits(data, objection=behind).test) == 4
    long_image(tmp_path)
    with pytest.raises(DataError, match="200 times") as caught:
        load_splits(data, objection=behind)
    assert caught.value.row == 1


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_an_id_that_64_bits_do_not_hold_is_a_fault_of_its_row(tmp_path: Path, number: int) -> None:
    data = table(tmp_path)
    for name in ("train", "test"):
        rows = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        rows = [{**row, "id": row_number + len(name) * 100} for row_number, row in enumerate(rows)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    change(tmp_path, id=number)
    columns = data.table.columns.model_copy(update={"id": "id"})
    data = data.model_copy(update={"table": data.table.model_copy(update={"columns": columns})})
    with pytest.raises(DataError, match=r"2\^63") as caught:
        load_splits(data)
    assert (caught.value.row, caught.value.field) == (1, "id")
    assert len(load_splits(data.model_copy(update={"skip_bad": True})).test) == 3


def test_what_was_left_out_is_left_out_where_the_data_have_been_moved(tmp_path: Path) -> None:
    """A missing file and a damaged one: both are told by paths, which are others now."""
    here, there = tmp_path / "here", tmp_path / "there"
    table(here)
    (here / "pictures" / "train3.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    (here / "pictures" / "test0.png").unlink()

    def relative(folder: Path) -> DataSettings:
        shape: TableSettings = settings(tmp_path).table
        return DataSettings(table=shape.model_copy(update={"images": folder}), skip_bad=True)

    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text((here / f"{name}.jsonl").read_text())
    listed = tmp_path / "skipped.jsonl"
    first = load_splits(relative(here), skipped=listed)
    assert len(first.test) == 3 and len(first.train) + len(first.val) == 19
    here.rename(there)
    again = load_splits(relative(there), skipped=listed)
    assert [example.id for example in again.train + again.test] == [example.id for example in first.train + first.test]


def test_ordinary_brackets_are_no_control_tokens(tmp_path: Path) -> None:
    data = table(tmp_path)
    change(tmp_path, question="is a < b > c in <b>this</b> [image]?", answers=["[stop]", "<3", "|>"])
    assert all(BUILTIN(example) is None and texts_object(example) is None for example in load_splits(data).test)
