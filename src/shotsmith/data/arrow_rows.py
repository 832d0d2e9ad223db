"""Rows of Arrow tables as plain values, with the column's name where a type has none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shotsmith.errors import DataError


def refuse_types(types: Mapping[str, Any], file: Path | str) -> None:
    """Raise DataError naming the first column whose type holds neither texts, numbers, pictures nor lists of these."""
    for name, kind in types.items():
        if not _usable(kind):
            raise DataError(
                f"is a column of type {kind}, which holds no texts, whole numbers or lists of them",
                file=file,
                field=name,
            )


def plain_rows(batch: Any, file: Path) -> Iterator[dict[str, object]]:
    """The rows of a record batch. Raises DataError naming the column whose values cannot be read."""
    import pyarrow as pa

    columns: list[list[object]] = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            columns.append(column.to_pylist())
        except (pa.ArrowException, ValueError, OverflowError, UnicodeDecodeError) as error:
            raise DataError(f"holds what cannot be read: {error}", file=file, field=name) from error
    yield from (dict(zip(batch.schema.names, values, strict=True)) for values in zip(*columns, strict=True))


def _usable(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _usable(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _usable(kind.value_type)
    if types.is_struct(kind):
        return True  # a record: the column map names one of its fields
    return any(
        of(kind)
        for of in (
            types.is_string,
            types.is_large_string,
            types.is_string_view,
            types.is_integer,
            types.is_floating,
            types.is_boolean,
            types.is_null,
            types.is_binary,
            types.is_large_binary,
            types.is_fixed_size_binary,
            types.is_binary_view,
        )
    )
