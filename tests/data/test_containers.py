"""A list or a record that was written as its text is read as what it is, or refused; it is never an answer."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shotsmith.data.containers import is_container, texts_in
from shotsmith.data.table import read_table
from shotsmith.errors import DataError
from shotsmith.recipe import TableColumns

TEXTS = TableColumns(image=None)
TWO = ["red", "dark red"]

PRINTED = {
    "a list": str(TWO),
    "JSON": json.dumps(TWO),
    "JSON with escapes": '["red", "dark\\u0020red"]',
    "a tuple": str(tuple(TWO)),
    "an array": str(np.array(TWO)),
    "an array of objects": str(np.array(TWO, dtype=object)),
    "the code of an array": repr(np.array(TWO, dtype=object)),
    "the code of an array of texts": repr(np.array(TWO)),
    "numpy's texts": "[np.str_('red'), np.str_('dark red')]",
    "other quotes": "[\"red\", 'dark red']",
    "lines": "['red'\n 'dark red']",
}
REFUSED = {
    "an empty list": "[]",
    "a null in a list": "['red', None]",
    "a NaN in a list": "['red', nan]",
    "a record": "{'answer': 'red'}",
    "JSON of a record": '{"answer": "red", "id": 1}',
    "a list of records": "[{'answer': 'red'}, {'answer': 'red'}]",
    "a list in a list": "[['red'], ['red']]",
    "bytes": "b'red'",
    "a set": "{'red', 'blue'}",
    "scalars of Arrow": "[<pyarrow.StringScalar: 'red'>]",
    "a cut array": "['red' 'red' ... 'red']",
    "mixed": "['red', 3]",
}
SURVIVING = ["[stop]", "(c)", "[sic] red", "{x}", "a [b]", "['90s]s", "stop]", "(1)", "(red, blue)", "rock 'n' roll"]


def csv_file(folder: Path, answers: str) -> Path:
    file = folder / "table.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([["question", "answers"], ["what?", answers]])
    return file


def parquet_file(folder: Path, answers: object) -> Path:
    pq.write_table(pa.Table.from_pylist([{"question": "what?", "answers": answers}]), folder / "table.parquet")
    return folder / "table.parquet"


def json_file(folder: Path, answers: object) -> Path:
    (folder / "table.jsonl").write_text(json.dumps({"question": "what?", "answers": answers}))
    return folder / "table.jsonl"


FILES = [csv_file, parquet_file, json_file]


@pytest.mark.parametrize("write", FILES)
@pytest.mark.parametrize("text", PRINTED.values(), ids=PRINTED)
def test_a_printed_list_of_texts_is_a_list_of_answers(tmp_path: Path, write, text: str) -> None:
    (example,) = read_table(write(tmp_path, text), TEXTS)
    assert example.answers == tuple(TWO)


@pytest.mark.parametrize("write", FILES)
@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_every_other_container_is_a_fault_of_its_row(tmp_path: Path, write, text: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(DataError, match="written as text") as caught:
        read_table(file, TEXTS)
    assert (caught.value.file, caught.value.row, caught.value.field) == (str(file), 0, "answers")


@pytest.mark.parametrize("write", FILES)
@pytest.mark.parametrize("text", SURVIVING)
def test_a_text_in_brackets_is_a_text(tmp_path: Path, write, text: str) -> None:
    (example,) = read_table(write(tmp_path, text), TEXTS)
    assert example.answers == (text,)


def test_numbers_in_brackets_are_refused_where_cells_have_no_types_and_a_text_where_they_have(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="written as text"):
        read_table(csv_file(tmp_path, "[3, 3, 2]"), TEXTS)
    assert read_table(json_file(tmp_path, "[12, 40, 3, 9]"), TEXTS)[0].answers == ("[12, 40, 3, 9]",)


def test_a_printed_list_is_no_question_and_no_item_of_a_list(tmp_path: Path) -> None:
    (tmp_path / "table.jsonl").write_text(json.dumps({"question": "['what?']", "answers": "red"}))
    with pytest.raises(DataError, match="written as text") as caught:
        read_table(tmp_path / "table.jsonl", TEXTS)
    assert caught.value.field == "question"
    with pytest.raises(DataError, match="written as text") as caught:
        read_table(json_file(tmp_path, [str(TWO)]), TEXTS)
    assert caught.value.field == "answers[0]"


RECORDS = [{"answer": "red", "answer_id": 1}, {"answer": "dark red", "answer_id": 2}]


@pytest.mark.parametrize("write", [parquet_file, json_file])
@pytest.mark.parametrize("value", [RECORDS, {"answer": TWO, "answer_id": [1, 2]}])
def test_a_column_map_names_the_field_of_records(tmp_path: Path, write, value: object) -> None:
    named = TEXTS.model_copy(update={"answers": "answers.answer"})
    (example,) = read_table(write(tmp_path, value), named)
    assert example.answers == tuple(TWO)
    with pytest.raises(DataError, match=r"no such column|is not a record with the field 'said'"):
        read_table(write(tmp_path, value), TEXTS.model_copy(update={"answers": "answers.said"}))


def test_records_without_a_named_field_are_refused_with_the_names_to_choose_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"answers\.answer or answers\.answer_id"):
        read_table(json_file(tmp_path, RECORDS), TEXTS)


@pytest.mark.parametrize(
    "text", ["[" * 50_000 + "]" * 50_000, "['" + "\\'" * 50_000 + "]", "(" + "'a'," * 40_000 + ")"]
)
def test_hostile_texts_are_judged_quickly(text: str) -> None:
    is_container(text)
    texts_in(text)
