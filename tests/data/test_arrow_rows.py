"""A column of a type that holds no texts is named, whatever the type."""

from __future__ import annotations

import datetime
import decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shotsmith.data.table import read_table
from shotsmith.errors import DataError
from shotsmith.recipe import TableColumns

TEXTS = TableColumns(image=None)
DAY = datetime.date(2020, 1, 2)
UNUSABLE = {
    "duration": pa.array([datetime.timedelta(seconds=1)]),
    "nanoseconds": pa.array([1], pa.duration("ns")),
    "date": pa.array([DAY]),
    "time": pa.array([datetime.time(1)]),
    "timestamp": pa.array([2**40], pa.timestamp("s")),
    "decimal": pa.array([decimal.Decimal("1.5")]),
    "map": pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string())),
    "a list of dates": pa.array([[DAY]]),
    "float of 16 bits": pa.array([1.5], pa.float64()),
}
USABLE = {
    "large strings": pa.array(["red"], pa.large_string()),
    "a dictionary": pa.array(["red"]).dictionary_encode(),
    "a list": pa.array([["red"]]),
    "a large list": pa.array([["red"]], pa.large_list(pa.string())),
    "a list of two": pa.array([["red", "red"]], pa.list_(pa.string(), 2)),
}


def written(folder: Path, answers: pa.Array) -> Path:
    pq.write_table(pa.table({"question": pa.array(["what?"]), "answers": answers}), folder / "a.parquet")
    return folder / "a.parquet"


@pytest.mark.parametrize("answers", UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_type_is_named_with_its_column(tmp_path: Path, answers: pa.Array) -> None:
    with pytest.raises(DataError) as caught:
        read_table(written(tmp_path, answers), TEXTS)
    assert caught.value.file == str(tmp_path / "a.parquet") and str(caught.value.field).startswith("answers")


@pytest.mark.parametrize("answers", USABLE.values(), ids=USABLE)
def test_every_way_to_hold_texts_is_read(tmp_path: Path, answers: pa.Array) -> None:
    assert set(read_table(written(tmp_path, answers), TEXTS)[0].answers) == {"red"}


def test_a_text_that_is_no_utf8_is_named_with_its_column(tmp_path: Path) -> None:
    raw = pa.Array.from_buffers(pa.string(), 1, [None, *pa.array([b"\xff\xfe"]).buffers()[1:]])
    with pytest.raises(DataError) as caught:
        read_table(written(tmp_path, raw), TEXTS)
    assert caught.value.field == "answers"
