from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from shotsmith.data.table import read_table
from shotsmith.errors import DataError
from shotsmith.recipe import TableColumns

NAMED = TableColumns(id="key", image="photo", question="asked", answers="said")


def rows_of(count: int = 3) -> list[dict[str, object]]:
    return [
        {"key": 7 + n, "photo": f"in/{n}.png", "asked": f"what is {n}?", "said": [f"it is {n}"]} for n in range(count)
    ]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.new("RGB", (2, 2), (number, 0, 0)).save(tmp_path / "in" / f"{number}.png")
    return tmp_path


def json_lines(path: Path, rows: list) -> Path:
    path = path.with_suffix(".jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8-sig")
    return path


def json_list(path: Path, rows: list) -> Path:
    path = path.with_suffix(".json")
    path.write_text(json.dumps(rows))
    return path


def parquet(path: Path, rows: list) -> Path:
    path = path.with_suffix(".parquet")
    pq.write_table(pa.Table.from_pylist([{**row, "unused": 1.5} for row in rows]), path)
    return path


WRITERS = [json_lines, json_list, parquet]


@pytest.mark.parametrize("write", WRITERS)
def test_every_form_of_table_gives_the_same_examples(images: Path, write: Callable):
    examples = read_table(write(images / "table", rows_of()), NAMED)
    assert [example.id for example in examples] == [7, 8, 9]
    assert [example.image for example in examples] == [images / "in" / f"{n}.png" for n in range(3)]
    assert (examples[1].question, examples[1].answers) == ("what is 1?", ("it is 1",))
    assert len({example.image_id for example in examples}) == 3


def test_a_folder_is_read_by_its_metadata(images: Path):
    json_lines(images / "metadata", rows_of())
    assert len(read_table(images, NAMED)) == 3


def test_without_an_id_column_rows_are_numbered_and_one_text_is_one_answer(images: Path):
    rows = [{**row, "said": "red"} for row in rows_of()]
    examples = read_table(json_lines(images / "table", rows), NAMED.model_copy(update={"id": None}), first=10)
    assert [example.id for example in examples] == [10, 11, 12]
    assert examples[0].answers == ("red",)


def test_an_image_has_one_id_however_tables_name_it(images: Path):
    one = read_table(json_lines(images / "one", rows_of(1)), NAMED)
    rows = [{**row, "photo": str(images / "in" / "0.png")} for row in rows_of(1)]
    (images / "elsewhere").mkdir()
    other = read_table(json_lines(images / "elsewhere" / "other", rows), NAMED)
    climbing = [{**row, "photo": "../in/0.png"} for row in rows_of(1)]
    third = read_table(json_lines(images / "elsewhere" / "third", climbing), NAMED)
    assert one[0].image_id == other[0].image_id == third[0].image_id
    assert 0 <= one[0].image_id < 2**63


SPOILT = {
    "an image that is not there": ({"photo": "in/9.png"}, "photo"),
    "a folder that is not there": ({"photo": "out/1.png"}, "photo"),
    "no image": ({"photo": ""}, "photo"),
    "a blank question": ({"asked": " "}, "asked"),
    "an empty list of answers": ({"said": []}, "said"),
    "a null among the answers": ({"said": ["red", None]}, "said[1]"),
    "an empty answer": ({"said": [""]}, "said[0]"),
    "an id twice": ({"key": 7}, "key"),
    "no id": ({"key": None}, "key"),
}


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(("changes", "field"), SPOILT.values(), ids=SPOILT)
def test_a_bad_row_is_named_or_skipped_alone(images: Path, write: Callable, changes: dict, field: str):
    rows = rows_of()
    rows[1].update(changes)
    file = write(images / "table", rows)
    with pytest.raises(DataError) as caught:
        read_table(file, NAMED)
    assert (caught.value.file, caught.value.row, caught.value.field) == (str(file), 1, field)
    faults: list[DataError] = []
    assert [example.id for example in read_table(file, NAMED, on_fault=faults.append)] == [7, 9]
    assert len(faults) == 1


@pytest.mark.parametrize("line", ["{", "[1]", '{"key": NaN}', "[" * 100_000])
def test_a_bad_line_is_named_or_skipped_alone(images: Path, line: str):
    file = images / "table.jsonl"
    good = [json.dumps(row) for row in rows_of()]
    file.write_text("\n".join([good[0], line, "", good[1]]))
    with pytest.raises(DataError) as caught:
        read_table(file, NAMED)
    assert (caught.value.file, caught.value.row) == (str(file), 1)
    assert [example.id for example in read_table(file, NAMED, on_fault=lambda _: None)] == [7, 8]


def test_pictures_inside_a_table_are_refused_with_advice(images: Path):
    rows = [{**row, "photo": {"bytes": b"x", "path": "0.png"}} for row in rows_of()]
    with pytest.raises(DataError, match="write the pictures to files"):
        read_table(parquet(images / "table", rows), NAMED)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.xls", b"", "is none of"),
        ("a.parquet", b"no", "not a Parquet file"),
        ("a.json", b"{}", "not a list"),
        ("a.jsonl", b"\xff\xfe", "not UTF-8"),
        ("a.jsonl", None, "no such file"),
        ("a.parquet", None, "no such file"),
    ],
)
def test_a_file_of_another_form_is_named(tmp_path: Path, name: str, content: bytes | None, problem: str):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=problem) as caught:
        read_table(tmp_path / name, NAMED)
    assert caught.value.file == str(tmp_path / name)


def test_a_missing_parquet_column_is_named(images: Path):
    with pytest.raises(DataError, match="no such column") as caught:
        read_table(parquet(images / "table", rows_of()), NAMED.model_copy(update={"answers": "truth"}))
    assert caught.value.field == "truth"


def commas(path: Path, rows: list) -> Path:
    """A CSV file; lists are written as JSON, null as nothing."""
    path = path.with_suffix(".csv")
    cells = [[json.dumps(v) if isinstance(v, list) else "" if v is None else v for v in row.values()] for row in rows]
    with path.open("w", newline="") as out:
        csv.writer(out).writerows([list(rows[0]), *cells])
    return path


@pytest.mark.parametrize("write", [*WRITERS, commas])
@pytest.mark.parametrize("column", ["photo", "images"])
def test_a_row_has_as_many_images_as_its_column_lists(images: Path, write: Callable, column: str):
    listed = [["in/1.png"], ["in/2.png", "in/0.png", "in/2.png"], [], None]
    rows = [{"key": n, column: some, "asked": f"what is {n}?", "said": "red"} for n, some in enumerate(listed)]
    columns = NAMED if column == "photo" else TableColumns(id="key", question="asked", answers="said")
    examples = read_table(write(images / "table", rows), columns)
    assert [example.images for example in examples] == [
        tuple(images / name for name in some or ()) for some in listed
    ], "where there is no column `image`, `images` takes its place"
    assert examples[1].image == images / "in" / "2.png" and examples[2].image is None
    single = read_table(json_lines(images / "single", rows_of(2)), NAMED)
    assert examples[0].image_id == single[1].image_id, "a list of one is that one"
    assert len({example.image_id for example in examples}) == 4


@pytest.mark.parametrize(
    ("photo", "field", "problem"),
    [
        (["in/0.png", "gone.png"], "photo[1]", "there is no image"),
        (["in/0.png", None], "photo[1]", "is not a text"),
        (["in/0.png", " "], "photo[1]", "is empty"),
        ("", "photo", "is empty"),
    ],
)
def test_a_fault_in_a_list_of_images_names_its_place(images: Path, photo: object, field: str, problem: str):
    table = json_lines(images / "table", [{**rows_of(1)[0], "photo": photo}])
    with pytest.raises(DataError, match=problem) as caught:
        read_table(table, NAMED)
    assert (caught.value.row, caught.value.field) == (0, field)


def test_a_cell_that_begins_like_a_list_and_is_none_is_a_fault(images: Path):
    with pytest.raises(DataError, match="no list in JSON") as caught:
        read_table(commas(images / "table", [{**rows_of(1)[0], "photo": "[in/0.png]"}]), NAMED)
    assert (caught.value.row, caught.value.field) == (0, "photo")


@pytest.mark.parametrize("write", [*WRITERS, commas])
def test_a_wrong_column_name_lists_the_columns_that_there_are(images: Path, write: Callable):
    with pytest.raises(DataError) as caught:
        read_table(write(images / "table", rows_of()), NAMED.model_copy(update={"question": "query"}))
    assert caught.value.field == "query" and "there are key, photo, asked, said" in caught.value.problem
