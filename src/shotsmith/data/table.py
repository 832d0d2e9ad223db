"""Reader of any table of images, questions and answers, by a column map: JSON, CSV, TSV, Parquet, or a folder.

Every fault is a `DataError` that names the file, the row (0-based) and the column. Pictures are read for their ids and
not decoded; their folders are listed, once each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from shotsmith.data.arrow_rows import plain_rows, refuse_types
from shotsmith.data.confined import refuse_outside
from shotsmith.data.delimited import delimited_rows
from shotsmith.data.identity import ImageIds, numbering, text_number
from shotsmith.data.rows import OnFault, Row, column_list, refuse, shown
from shotsmith.data.wording import PLAIN, Wording, asked_of, column_of
from shotsmith.errors import DataError, InputError
from shotsmith.files import read_json
from shotsmith.recipe import TableColumns
from shotsmith.records import Example

FOLDER_TABLE = "metadata.jsonl"
"""The table of a folder that is given in place of a file, as Hugging Face's image folders have it."""


def read_table(
    table: Path,
    columns: TableColumns,
    images: Path | None = None,
    first: int = 0,
    on_fault: OnFault = refuse,
    wording: Wording = PLAIN,
    image_ids: ImageIds = "content",
    confined: bool = False,
) -> list[Example]:
    """The examples of a table (a suffix of READERS) or of a folder with a `metadata.jsonl`, in its order.

    Image paths start from `images`, or else from the table's folder; an image's id follows from the content of the
    file, wherever it lies, that of several images from all of them. A row without images has an id that follows from
    its question. Where no column holds ids, they are the rows' numbers, counted from `first`. With `confined` an image
    outside that folder is a fault of its row.

    Raises DataError for a table that cannot be read or lacks a column. Rows at fault are handed to `on_fault`, which
    raises at the first unless told otherwise; of rows with one id the first is kept.
    """
    file = table / FOLDER_TABLE if table.is_dir() else table
    folders = _Folders(images if images is not None else file.parent, image_ids, confined)
    seen: dict[int, int] = {}
    examples = []
    for row in _rows(file, columns, on_fault):
        try:
            example = _example(row, columns, folders, first, wording)
            if example.id in seen:
                raise row.fault(f"{example.id} stands in row {seen[example.id]} already", columns.id)
        except DataError as fault:
            on_fault(fault)
        else:
            seen[example.id] = row.number
            examples.append(example)
    return examples


def _example(row: Row, columns: TableColumns, folders: _Folders, first: int, wording: Wording) -> Example:
    column = columns.image_among(row.fields)
    images = () if column is None else folders.find(row, column)
    question, answers, options = asked_of(row, columns, wording)
    return Example(
        id=row.integer(columns.id) if columns.id is not None else first + row.number,
        images=images,
        image_id=folders.number(row, column, images) if images else text_number(question),
        question=question,
        answers=answers,
        options=options,
        place=row.where,
    )


class _Folders:
    """The names in each folder of images, listed once: asking the disk for every image is slow."""

    def __init__(self, start: Path, image_ids: ImageIds, confined: bool) -> None:
        self._start = start
        self._confined = confined
        self._numbered = numbering(image_ids)
        self._names: dict[str, tuple[Path, frozenset[str]]] = {}
        self._numbers: dict[tuple[Path, ...], int] = {}

    def find(self, row: Row, column: str) -> tuple[Path, ...]:
        """The images that a row names: a path, a list of paths, or null. Raises DataError where one is not there."""
        value = row.present(column)
        if value is None:
            return ()
        if isinstance(value, list):
            return tuple(self._file(row, one, f"{column}[{place}]") for place, one in enumerate(value))
        return (self._file(row, value, column),)

    def _file(self, row: Row, value: object, column: str) -> Path:
        if isinstance(value, bytes | dict):
            raise row.fault("holds a picture and not the path of one; write the pictures to files", column)
        parent, slash, name = row.checked_text(value, column).rpartition("/")
        parent += slash  # an image at the root lies in "/"
        if parent not in self._names:
            self._names[parent] = self._listed(parent)
        folder, names = self._names[parent]
        if name not in names:
            raise row.fault(f"there is no image {folder / name}", column)
        if self._confined:
            refuse_outside(row, folder / name, (self._start,), column)
        return folder / name

    def number(self, row: Row, column: str | None, images: tuple[Path, ...]) -> int:
        """An id (60 bits) that images have in every table that names them in this order.

        Raises DataError for a file that cannot be read.
        """
        if images not in self._numbers:
            try:
                self._numbers[images] = self._numbered(images)
            except InputError as error:
                raise row.fault(f"the image {error.file} {error.problem}", column) from error
        return self._numbers[images]

    def _listed(self, parent: str) -> tuple[Path, frozenset[str]]:
        folder = (self._start / parent).resolve()
        try:
            return folder, frozenset(path.name for path in folder.iterdir())
        except OSError:
            return folder, frozenset()


def _rows(file: Path, columns: TableColumns, on_fault: OnFault) -> Iterator[Row]:
    if file.suffix not in READERS:
        raise DataError(f"is none of {', '.join(READERS)}", file=file)
    try:
        yield from READERS[file.suffix](file, columns, on_fault)
    except FileNotFoundError as error:
        raise DataError("no such file", file=file) from error
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8 text", file=file) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=file) from error


def _json_lines(file: Path, _columns: TableColumns, on_fault: OnFault) -> Iterator[Row]:
    with file.open(encoding="utf-8-sig", newline="\n") as lines:
        for number, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                value: object = json.loads(line)
            except (ValueError, RecursionError) as error:
                on_fault(DataError(f"is not valid JSON: {error}", file=file, row=number))
            else:
                yield from _row(file, number, value, on_fault)


def _json(file: Path, _columns: TableColumns, on_fault: OnFault) -> Iterator[Row]:
    content: object = read_json(file)
    if not isinstance(content, list):
        raise DataError(f"is not a list: {shown(content)}", file=file)
    for number, value in enumerate(content):
        yield from _row(file, number, value, on_fault)


def _row(file: Path, number: int, value: object, on_fault: OnFault) -> Iterator[Row]:
    if isinstance(value, dict):
        yield Row(file, number, value)
    else:
        on_fault(DataError(f"is not an object: {shown(value)}", file=file, row=number))


def _parquet(file: Path, columns: TableColumns, _on_fault: OnFault) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as table:
            image = columns.image_among(table.schema_arrow.names)
            named = (columns.id, image, columns.question, columns.answers, columns.options)
            there = table.schema_arrow.names
            wanted = list(dict.fromkeys(column_of(name, there) for name in named if name is not None))
            for name in wanted:
                if name not in table.schema_arrow.names:
                    raise DataError(f"there is no such column; there are {column_list(there)}", file=file, field=name)
            refuse_types({name: table.schema_arrow.field(name).type for name in wanted}, file)
            rows = (row for batch in table.iter_batches(columns=wanted) for row in plain_rows(batch, file))
            for number, fields in enumerate(rows):
                yield Row(file, number, fields)
    except (pa.ArrowException, OverflowError) as error:
        raise DataError(f"is not a Parquet file, or a damaged one: {error}", file=file) from error


def _delimited(file: Path, columns: TableColumns, on_fault: OnFault) -> Iterator[Row]:
    return delimited_rows(file, columns, on_fault)


READERS = {".jsonl": _json_lines, ".json": _json, ".parquet": _parquet, ".tsv": _delimited, ".csv": _delimited}
"""Suffix -> what reads such a file."""
