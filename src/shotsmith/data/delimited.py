"""Rows of a TSV file as GLUE ships them (no quoting), and of a CSV file (RFC 4180)."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from shotsmith.data.containers import texts_in
from shotsmith.data.rows import OnFault, Row
from shotsmith.errors import DataError
from shotsmith.recipe import TableColumns

_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
"""A whole number; one of more digits is no id."""
_LONGEST = 1 << 24
"""Characters of a field; the csv module refuses more than 2^17 otherwise."""


def delimited_rows(file: Path, columns: TableColumns, on_fault: OnFault) -> Iterator[Row]:
    """The rows under the head line, from 0; fields are texts, ids whole numbers.

    In the image column an empty field is null, and a field that begins with `[` a list in JSON. Raises DataError where
    there is no head line, UnicodeDecodeError for another encoding than UTF-8.
    """
    csv.field_size_limit(_LONGEST)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        tabs = file.suffix == ".tsv"
        options: tuple[str, Literal[0, 3]] = ("\t", csv.QUOTE_NONE) if tabs else (",", csv.QUOTE_MINIMAL)
        rows = csv.reader(lines, delimiter=options[0], quoting=options[1])
        try:
            head = next(rows, None)
            if head is None or len(set(head)) < len(head):
                raise DataError("has no head line with the names of its columns", file=file)
            image = columns.image_among(head)
            for number, fields in enumerate(row for row in rows if row):
                if len(fields) != len(head):
                    problem = f"has {len(fields)} fields, the head line {len(head)}"
                    on_fault(DataError(problem, file=file, row=number))
                else:
                    row = Row(file, number, dict(zip(head, fields, strict=True)))
                    try:
                        read = {**row.fields, **_ids(row, columns.id), **_images(row, image)}
                    except DataError as fault:
                        on_fault(fault)
                    else:
                        yield Row(file, number, read)
        except csv.Error as error:
            raise DataError(f"is no table: {error}", file=file, row=rows.line_num) from error


def _ids(row: Row, column: str | None) -> dict[str, object]:
    """The id as a whole number, where it is one."""
    value = row.fields.get(column) if column is not None else None
    if column is None or not isinstance(value, str) or not _WHOLE.fullmatch(value.strip()):
        return {}
    return {column: int(value)}


def _images(row: Row, column: str | None) -> dict[str, object]:
    """The field of images, where it is empty or a list."""
    value = row.fields.get(column) if column is not None else None
    if column is None or not isinstance(value, str):
        return {}
    if not value.strip():
        return {column: None}
    if not value.lstrip().startswith("["):
        return {}
    if (texts := texts_in(value)) is not None:
        return {column: texts}
    try:
        return {column: json.loads(value)}
    except (ValueError, RecursionError) as error:
        raise row.fault(f"begins with [ and is no list in JSON: {error}", column) from error
