"""Metrics files: `{"<time>-test_data_num=800-LeverLMRetriever": {"shot_num=1": 0.5015, ...}}`."""

from __future__ import annotations

import re
from pathlib import Path

from shotsmith.data.rows import shown
from shotsmith.errors import DataError
from shotsmith.predecessor.fields import LONGEST, as_entry, number
from shotsmith.predecessor.records import Accuracy

_SHOTS = re.compile(r"shot_num=([0-9]{1,3})")
_QUERIES = re.compile(r"test_data_num=([0-9]{1,9})(?![0-9])")


def read_metrics_file(file: Path, value: object) -> list[Accuracy]:
    """Every figure, in the file's order. Raises DataError naming file, entry and field."""
    if not isinstance(value, dict):
        raise DataError(f"is not an object of metrics: {shown(value)}", file=file)
    found = []
    for place, (name, entry) in enumerate(value.items()):
        row = as_entry(file, place, entry, shown(name))
        row.checked_text(name, "name")
        queries = _QUERIES.search(name)
        for field, figure in row.fields.items():
            shots = _SHOTS.fullmatch(field)
            if not shots or int(shots[1]) > LONGEST:
                raise row.fault("is not of the form shot_num=1", shown(field))
            accuracy = number(row, figure, field, 0.0)
            found.append(Accuracy(name, int(shots[1]), accuracy, int(queries[1]) if queries else None))
    return found
