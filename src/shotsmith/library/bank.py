"""A bank: the examples that an application may show, from a table, from rows, or from a Hugging Face data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from shotsmith.data.hub import encoded_pictures
from shotsmith.data.identity import picture_number, text_number
from shotsmith.data.rows import Row
from shotsmith.data.table import read_table
from shotsmith.data.wording import PLAIN, answers_of
from shotsmith.errors import DataError, InputError
from shotsmith.files import digest
from shotsmith.library.cache import cache_folder
from shotsmith.library.pictures import picture_files
from shotsmith.recipe import TableColumns
from shotsmith.records import Example, images_digest

Id: TypeAlias = int | str
"""What the owner of an example calls it."""
Source: TypeAlias = "Bank | str | Path | Iterable[Example | Mapping[str, Any]]"
"""What a bank can be made from: see `Bank.of`."""

_ROWS = Path("rows")
"""Stands for the file in errors about rows that come from no file."""
_ANSWERS = ("answers", "answer")
"""Where the answers of a row are looked for."""


@dataclass(frozen=True)
class Bank:
    """Examples with known answers. Banks are values: adding to one makes another."""

    examples: tuple[Example, ...]
    ids: tuple[Id, ...]
    """What each is called. Different from each other, apart from those that were replaced."""
    replaced: frozenset[int] = frozenset()
    """Rows whose id was given to a later row. A selector never shows them."""

    def __post_init__(self) -> None:
        """Refuse a bank that is empty, or in which two examples have one id (InputError)."""
        if not self.examples:
            raise InputError("a bank needs at least one example")
        if len(self.rows) + len(self.replaced) < len(self.ids):
            twice = next(one for row, one in self._named() if self.rows[one] != row)
            raise InputError(f"two examples of the bank have the id {twice!r}")

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.examples)

    def __add__(self, other: Bank) -> Bank:
        """Both, one after the other."""
        return self.extended(other)

    def extended(self, other: Bank, replacing: Iterable[int] = ()) -> Bank:
        """Both, one after the other. Of the rows `replacing`, those whose id is in `other` are replaced.

        Rows keep their numbers. Raises InputError for any other id that is in both.
        """
        replaced = {row for row in replacing if self.ids[row] in other.rows}
        moved = {len(self) + row for row in other.replaced}
        return Bank(self.examples + other.examples, self.ids + other.ids, self.replaced | replaced | moved)

    def only(self, rows: Iterable[int]) -> Bank:
        """The examples of some rows, in this order."""
        chosen = tuple(rows)
        return Bank(tuple(self.examples[row] for row in chosen), tuple(self.ids[row] for row in chosen))

    @cached_property
    def rows(self) -> Mapping[Id, int]:
        """Where the example of each id stands."""
        return {one: row for row, one in self._named()}

    def _named(self) -> Iterator[tuple[int, Id]]:
        """Rows that can be found by their id, with the id."""
        return ((row, one) for row, one in enumerate(self.ids) if row not in self.replaced)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that a selection depends on: ids, images by content, questions and answers."""
        return digest(
            "bank-1", *(part for pair in zip(self.ids, self.examples, strict=True) for part in _content(*pair))
        )

    @property
    def has_images(self) -> bool:
        """Whether any example has an image."""
        return any(example.images for example in self.examples)

    def row(self, one: Id) -> int:
        """Where an example stands. Raises InputError for an id that is not in the bank."""
        try:
            return self.rows[one]
        except (KeyError, TypeError) as error:
            raise InputError(f"the bank has no example with the id {one!r}") from error

    def at(self, rows: Sequence[int]) -> tuple[tuple[Example, ...], tuple[Id, ...]]:
        """The examples of some rows, in this order, and their ids."""
        return tuple(self.examples[row] for row in rows), tuple(self.ids[row] for row in rows)

    @classmethod
    def of(cls, source: Source, columns: Mapping[str, str | None] | None = None, first: int = 0) -> Bank:
        """A bank from whatever holds its examples.

        `source` is a bank (replaced rows are left out); a table (JSON, JSON lines, CSV, TSV, Parquet) or a folder with
        a `metadata.jsonl`; a `datasets.Dataset`; or examples or mappings. `columns` says what the columns `id`,
        `image`, `question` and `answers` are called where they have other names. Without ids, examples are numbered
        from `first`.

        Raises InputError (DataError) naming file, row and column.
        """
        if isinstance(source, Bank):
            return source.only(source.rows.values()) if source.replaced else source
        if isinstance(source, str | Path):
            return cls.from_table(source, columns=columns, first=first)
        if hasattr(source, "column_names") and hasattr(source, "cast_column"):
            return cls.from_rows(_rows_of(source, columns), columns=columns, first=first)
        return cls.from_rows(source, columns=columns, first=first)

    @classmethod
    def from_table(
        cls,
        table: str | Path,
        *,
        images: str | Path | None = None,
        columns: Mapping[str, str | None] | None = None,
        first: int = 0,
    ) -> Bank:
        """The examples of a table, or of a folder with a `metadata.jsonl`. Image paths start from `images`, or else
        from the table's folder."""
        named = TableColumns.model_validate(dict(columns or {}))
        folder = None if images is None else Path(images).expanduser()
        examples = read_table(Path(table).expanduser(), named, folder, first)
        if not examples:
            raise DataError("has no rows", file=table)
        return cls(tuple(examples), tuple(example.id for example in examples))

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[Example | Mapping[str, Any]],
        *,
        columns: Mapping[str, str | None] | None = None,
        first: int = 0,
    ) -> Bank:
        """Examples, or mappings with the keys `question`, `answers` (or `answer`: one text or a list of them) and,
        where there are any, `image` (or `images`: a path, bytes, an image of Pillow, or a list of these) and `id` (a
        whole number or a text)."""
        examples: list[Example] = []
        ids: list[Id] = []
        for number, row in enumerate(rows):
            if isinstance(row, Example):
                examples.append(row)
                ids.append(row.id)
            elif isinstance(row, Mapping):
                example, one = _example(Row(_ROWS, number, row), columns or {}, first + number)
                examples.append(example)
                ids.append(one)
            else:
                raise DataError(f"is a {type(row).__name__}, neither an example nor a mapping", file=_ROWS, row=number)
        return cls(tuple(examples), tuple(ids))


def _example(row: Row, columns: Mapping[str, str | None], number: int) -> tuple[Example, Id]:
    """The example of a mapping, and its id: that of the row, or else `number`."""
    name = {key: columns.get(key, key) for key in ("id", "question")}
    named = TableColumns(image=columns.get("image", "image")).image_among(row.fields)
    question = row.text(str(name["question"]))
    try:
        images = picture_files(None if named is None else row.fields.get(named), cache_folder() / "pictures")
    except InputError as error:
        raise row.fault(error.problem, named) from error
    found = row.fields.get(str(name["id"]), number) if name["id"] else number
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise row.fault(f"is neither a whole number nor a text: {found!r}", name["id"])
    answers = answers_of(row, _answers_column(row, columns), PLAIN)
    image_id = picture_number(images) if images else text_number(question)
    return Example(found if isinstance(found, int) else number, images, image_id, question, answers), found


def _answers_column(row: Row, columns: Mapping[str, str | None]) -> str:
    if named := columns.get("answers"):
        return named
    return next((name for name in _ANSWERS if name in row.fields), _ANSWERS[0])


def _rows_of(dataset: Any, columns: Mapping[str, str | None] | None) -> Iterator[Mapping[str, Any]]:
    """The rows of a `datasets.Dataset`; pictures stay encoded."""
    image = TableColumns(image=(columns or {}).get("image", "image")).image_among(dataset.column_names)
    has_column = image is not None and image in dataset.column_names
    yield from encoded_pictures(dataset, image) if has_column else dataset


def _content(one: Id, example: Example) -> Sequence[str]:
    return repr(one), images_digest(example), example.question, digest(*example.answers)
