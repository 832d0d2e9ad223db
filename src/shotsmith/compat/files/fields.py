"""Fields of Lever-Plus's JSON files: whole numbers, finite numbers, lists of indices, and objects by key."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shotsmith.data.rows import Row, shown
from shotsmith.errors import DataError

LARGEST_INDEX = 2**31 - 1
LARGEST_ID = 2**63 - 1
LARGEST_NUMBER = 1e9
LONGEST = 64
"""A sequence of more demonstrations than a pool holds is damage."""


@dataclass(frozen=True, slots=True)
class Entry(Row):
    """An object of a file that is no list, and what its place is called there."""

    place: str = ""

    def fault(self, problem: str, field: str | None = None) -> DataError:
        """What is wrong with this object, or with one field of it."""
        return DataError(problem, file=self.file, row=self.place or self.number, field=field)


def keyed(file: Path, value: object, what: str) -> Iterator[tuple[int, object]]:
    """The entries of an object whose keys are indices; `_meta` is passed over. Raises DataError for another key."""
    if not isinstance(value, dict):
        raise DataError(f"is not {what}, an object with an entry for every query: {shown(value)}", file=file)
    seen: dict[int, str] = {}
    for key, entry in value.items():
        if key == "_meta":
            continue
        if not (key.isascii() and key.isdigit()) or len(key) > len(str(LARGEST_INDEX)):
            raise DataError("is not the index of a query", file=file, row=shown(key))
        number = int(key)
        if number in seen:
            raise DataError(f"is query {number}, as '{seen[number]}' is", file=file, row=key)
        seen[number] = key
        yield number, entry


def as_entry(file: Path, number: int, value: object, place: str = "") -> Entry:
    """The value as an entry, `number` or `place` being where it stands. Raises DataError where it is no object."""
    if not isinstance(value, dict):
        raise DataError(f"is not an object: {shown(value)}", file=file, row=place or number)
    return Entry(file, number, value, place)


def listed(row: Row, field: str) -> list[object]:
    """A list, also an empty one."""
    value = row.present(field)
    if not isinstance(value, list):
        raise row.fault(f"is not a list: {shown(value)}", field)
    return value


def whole(row: Row, value: object, field: str, largest: int = LARGEST_INDEX) -> int:
    """A whole number from 0."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise row.fault(f"is not a whole number: {shown(value)}", field)
    if not 0 <= value <= largest:
        raise row.fault(f"is not between 0 and {largest}: {shown(value)}", field)
    return value


def indices(row: Row, value: object, field: str, longest: int | None = LONGEST) -> tuple[int, ...]:
    """A list of whole numbers from 0."""
    if not isinstance(value, list):
        raise row.fault(f"is not a list: {shown(value)}", field)
    if longest is not None and len(value) > longest:
        raise row.fault(f"holds {len(value)} numbers, more than {longest}", field)
    return tuple(whole(row, each, f"{field}[{place}]") for place, each in enumerate(value))


def number(row: Row, value: object, field: str, low: float = -LARGEST_NUMBER, high: float = LARGEST_NUMBER) -> float:
    """A finite number within bounds."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise row.fault(f"is not a number: {shown(value)}", field)
    if not low <= value <= high or not math.isfinite(value):
        raise row.fault(f"is not between {low:g} and {high:g}: {shown(value)}", field)
    return float(value)


def share(row: Row, field: str) -> float | None:
    """A number from 0 to 1; None where the field is absent or null."""
    value = row.fields.get(field)
    return None if value is None else number(row, value, field, 0.0, 1.0)


def optional_number(row: Row, field: str) -> float | None:
    """A finite number; None where the field is absent or null."""
    value = row.fields.get(field)
    return None if value is None else number(row, value, field)


def optional_whole(row: Row, field: str, largest: int = LARGEST_ID) -> int | None:
    """A whole number from 0; None where the field is absent or null."""
    value = row.fields.get(field)
    return None if value is None else whole(row, value, field, largest)


def optional_text(row: Row, field: str) -> str | None:
    """A text that can be stored, also a blank one; None where the field is absent or null."""
    value = row.fields.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise row.fault(f"is not a text: {shown(value)}", field)
    return value if not value.strip() else row.checked_text(value, field)
