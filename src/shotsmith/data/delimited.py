"""Rows of a TSV file as GLUE ships them (no quoting), and of a CSV file (RFC 4180)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from shotsmith.data.rows import OnFault, Row
from shotsmith.errors import DataError

_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
"""A whole number; one of more digits is no id."""
_LONGEST = 1 << 24
"""Characters of a field; the csv module refuses more than 2^17 otherwise."""


def delimited_rows(file: Path, numbers: str | None, on_fault: OnFault) -> Iterator[Row]:
    """The rows under the head line, from 0; fields are texts, those of the column `numbers` whole numbers.

    Raises DataError where there is no head line, UnicodeDecodeError for another encoding than UTF-8.
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
            for number, fields in enumerate(row for row in rows if row):
                if len(fields) != len(head):
                    problem = f"has {len(fields)} fields, the head line {len(head)}"
                    on_fault(DataError(problem, file=file, row=number))
                else:
                    yield Row(file, number, _named(head, fields, numbers))
        except csv.Error as error:
            raise DataError(f"is no table: {error}", file=file, row=rows.line_num) from error


def _named(head: list[str], fields: list[str], numbers: str | None) -> dict[str, object]:
    named: dict[str, object] = dict(zip(head, fields, strict=True))
    value = named.get(numbers) if numbers is not None else None
    if numbers is not None and isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        named[numbers] = int(value)
    return named
