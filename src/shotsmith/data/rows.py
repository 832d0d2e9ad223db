"""A row of a data file, its fields checked one by one; and what becomes of a row that is at fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from shotsmith.data.containers import is_container
from shotsmith.errors import DataError

_UNTYPED = (".csv", ".tsv")
"""Files whose cells are texts, whatever was written into them."""
_MOST_NAMES = 12
"""Columns that an error names."""
_LARGEST = 1 << 63
"""Ids are stored as 64-bit numbers."""

OnFault = Callable[[DataError], object]
"""Told of each row that is at fault; the row is left out unless this raises."""


def refuse(fault: DataError) -> NoReturn:
    """Stop at the first fault."""
    raise fault


@dataclass(frozen=True, slots=True)
class Row:
    """One element of a file's list, and where it stands (from 0). Every fault is a DataError that names the place."""

    file: Path
    number: int
    fields: Mapping[str, object]

    @property
    def where(self) -> tuple[str, int]:
        """File and row, as an example remembers them."""
        return str(self.file), self.number

    def fault(self, problem: str, field: str | None = None) -> DataError:
        """What is wrong with this row, or with one field of it."""
        return DataError(problem, file=self.file, row=self.number, field=field)

    def integer(self, field: str) -> int:
        """A whole number of at most 63 bits, as ids are stored; truth values, texts and NaN are none."""
        value = self.present(field)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.fault(f"is not a whole number: {shown(value)}", field)
        if not -_LARGEST <= value < _LARGEST:
            raise self.fault(f"does not lie between -2^63 and 2^63: {shown(value)}", field)
        return value

    def text(self, field: str) -> str:
        """A text that is not blank."""
        return self.checked_text(self.present(field), field)

    def filled(self, field: str) -> list[object]:
        """A list with something in it."""
        value = self.present(field)
        if not isinstance(value, list):
            raise self.fault(f"is not a list: {shown(value)}", field)
        if not value:
            raise self.fault("is empty", field)
        return value

    def checked_text(self, value: object, field: str) -> str:
        """The value, if it is a text that is not blank and can be stored."""
        if not isinstance(value, str):
            raise self.fault(f"is not a text: {shown(value)}", field)
        if not value.strip():
            raise self.fault("is empty", field)
        if is_container(value, numbers=self.file.suffix in _UNTYPED):
            raise self.fault(f"is a list, a record or bytes written as text: {shown(value)}", field)
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise self.fault("holds half of a surrogate pair, which no text encoding can store", field)
        return value

    def present(self, field: str) -> object:
        """Whatever the field holds."""
        if field not in self.fields:
            raise self.fault(f"is missing; there are {column_list(self.fields)}", field)
        return self.fields[field]


def column_list(names: Iterable[str]) -> str:
    """The names of columns as an error tells them: the first of them, shortened."""
    there = [shown(name)[1:-1] for name in names]
    more = f" and {len(there) - _MOST_NAMES} more" if len(there) > _MOST_NAMES else ""
    return ", ".join(there[:_MOST_NAMES]) + more if there else "none"


def shown(value: object) -> str:
    """The value as an error tells it: shortened."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
