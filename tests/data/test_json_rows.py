from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.data import json_rows
from shotsmith.data.json_rows import JsonRows
from shotsmith.errors import DataError, InputError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(rows=st.lists(VALUES, max_size=5), before=VALUES, after=VALUES, chunk=st.integers(1, 40), indent=st.booleans())
def test_rows_are_those_of_the_whole_file_wherever_it_is_cut(tmp_path_factory, rows, before, after, chunk, indent):
    file = tmp_path_factory.mktemp("json") / "a.json"
    text = json.dumps({"info": before, "rows": rows, "license": after}, indent=1 if indent else None)
    file.write_text(text, encoding="utf-8-sig")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "_CHUNK", chunk)
        patch.setattr(json_rows, "read_json", None)  # the file is never read whole
        content = JsonRows(file, "rows")
        assert list(content) == rows
    assert set(content.header) == {"info", "license"}
    file.write_text(json.dumps(rows))
    assert list(JsonRows(file, "rows", bare=True)) == rows


@pytest.mark.parametrize("cut", [5, 20, 33, 45])
def test_a_file_cut_short_is_no_json(tmp_path: Path, cut: int):
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"info": "none", "rows": [{"a": 1}, {"b": 2}, [3]]})[:cut])
    with pytest.raises(InputError, match="not valid JSON") as caught:
        list(JsonRows(file, "rows"))
    assert caught.value.file == str(file)


@pytest.mark.parametrize("text", ['{"rows": [1]} more', '{"rows": [1,]}', '{"rows": [1] "a": 2}', "", '{"rows": [1}'])
def test_what_follows_the_rows_must_be_json_too(tmp_path: Path, text: str):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(InputError, match="not valid JSON"):
        list(JsonRows(file, "rows"))


def test_another_form_is_named(tmp_path: Path):
    file = tmp_path / "a.json"
    for text, problem in (("[1]", "not a JSON object"), ("{}", "is missing"), ('{"rows": {}}', "is not a list")):
        file.write_text(text)
        with pytest.raises(DataError, match=problem):
            list(JsonRows(file, "rows"))


def test_the_second_name_of_the_list_is_found_where_the_first_is_missing(tmp_path: Path):
    file = tmp_path / "a.json"
    file.write_text('{"annotations": [1, 2], "x": 3}')
    content = JsonRows(file, "questions", "annotations", bare=True)
    assert list(content) == [1, 2] and content.header == {"x": 3}
