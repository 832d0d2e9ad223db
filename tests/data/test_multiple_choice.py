from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shotsmith.data.table import Wording, read_table
from shotsmith.errors import DataError
from shotsmith.recipe import TableColumns, parse_recipe
from shotsmith.records import Example

LETTERS = TableColumns(image=None, question="asked", answers="said", options="offered")
TEXTS = LETTERS.model_copy(update={"answer_with": "option"})


def one(tmp_path: Path, said: object, offered: object, columns: TableColumns = LETTERS, metric: str | None = None):
    file = tmp_path / "table.jsonl"
    file.write_text(json.dumps({"asked": "which?", "said": said, "offered": offered}))
    (example,) = read_table(file, columns, wording=Wording(metric=metric))
    return example


@pytest.mark.parametrize("said", ["blue", "B", "b", 1, "1", ["blue"], [1], " blue "])
def test_an_answer_is_an_option_s_text_its_letter_or_its_number(tmp_path: Path, said: object):
    example: Example = one(tmp_path, said, ["red", "blue", "green"])
    assert example.question == "which?\nA. red\nB. blue\nC. green"
    assert (example.answers, example.options) == (("B",), ("A", "B", "C"))
    by_text = one(tmp_path, said, ["red", "blue", "green"], TEXTS)
    assert by_text.question == example.question
    assert (by_text.answers, by_text.options) == (("blue",), ("red", "blue", "green"))


def test_a_text_counts_before_a_letter_and_a_letter_before_a_number(tmp_path: Path):
    assert one(tmp_path, "A", ["B", "A"]).answers == ("B",)
    assert one(tmp_path, "1", ["2", "1", "0"]).answers == ("B",)
    assert one(tmp_path, ["A", 1], ["red", "blue"]).answers == ("A", "B")


@pytest.mark.parametrize(
    ("said", "offered", "field", "problem"),
    [
        ("pink", ["red", "blue"], "said", "none of the 2 options: 'pink'"),
        ("C", ["red", "blue"], "said", "none of the 2 options"),
        (2, ["red", "blue"], "said", "none of the 2 options: 2"),
        (-1, ["red", "blue"], "said", "none of the 2 options"),
        (True, ["red", "blue"], "said", "none of the 2 options"),
        (0.0, ["red", "blue"], "said", "none of the 2 options"),
        ([], ["red", "blue"], "said", "is empty"),
        ("red", "red", "offered", "is not a list"),
        ("red", ["red"], "offered", "has 1 options"),
        ("red", ["red", "red"], "offered", "two options that are the same"),
        ("red", ["red", ""], r"offered\[1\]", "is empty"),
        ("1", [str(n) for n in range(27)], "offered", "has 27 options"),
    ],
)
def test_a_row_at_fault_names_file_row_and_column(
    tmp_path: Path, said: object, offered: object, field: str, problem: str
):
    with pytest.raises(DataError, match=rf"table\.jsonl, row 0, field {field}: .*{problem}"):
        one(tmp_path, said, offered)


def test_options_are_read_from_parquet_too(tmp_path: Path):
    row = {"asked": "which?", "said": 0, "offered": ["red", "blue"]}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "table.parquet")
    (example,) = read_table(tmp_path / "table.parquet", LETTERS)
    assert example.answers == ("A",)


def test_likelihood_needs_a_column_of_options_and_a_vlm_that_gives_log_probabilities():
    files = {"train": "a", "test": "b", "metric": "choice_likelihood"}
    with pytest.raises(Exception, match=r"choice_likelihood needs 'columns\.options'"):
        parse_recipe({"data": {"table": files}})
    server = {"server": {"url": "http://127.0.0.1:1/v1", "kind": "openai"}}
    data = {"table": files | {"columns": {"options": "offered"}}}
    with pytest.raises(Exception, match="the metric choice_likelihood"):
        parse_recipe({"data": data, "vlm": server, "reward": {"answer_probability": 0}})
    assert parse_recipe({"data": data}).data.metric == "choice_likelihood"
