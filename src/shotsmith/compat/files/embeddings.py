"""Embeddings [N, d]: tensors saved by torch (`.pt`), and numpy arrays, saved by torch (`.pth`) or pickled."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shotsmith.compat.checkpoints.torch_archive import read_archive, read_tensors
from shotsmith.compat.files.records import Role
from shotsmith.compat.restricted_pickle import Opaque, StoredArray, StoredTensor, StoredType, read_pickle
from shotsmith.embeddings.embedded import Floats
from shotsmith.errors import DataError

Array = npt.NDArray[Any]

_NUMBERS = frozenset({"f2", "f4", "f8"})
"""The types of numbers an array of embeddings may have."""
_LARGEST = 1e6
"""No embedding has a number as large; a damaged one may."""


class NotAnArray(ValueError):
    """The file is damaged, or holds something else than one array of numbers."""


def role_of(file: Path) -> Role:
    """What the rows embed, by the file's name; a file that does not say it holds candidates, as good as queries."""
    name = file.name.lower()
    if "query" in name:
        return "query"
    if "img" in name or "image" in name:
        return "image"
    return "text" if "text" in name else "candidate"


def read_embeddings(file: Path) -> Floats:
    """[N, d] float32. Nothing in the file is run.

    Raises DataError or CheckpointError naming the file, and the row where a number is no number, for anything but one
    matrix of floating-point numbers.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=file) from error
    try:
        values = _from_zip(file, len(data)) if data.startswith(b"PK") else read_array(data)
    except NotAnArray as error:
        raise DataError(str(error), file=file) from error
    return _checked(file, values)


def read_array(data: bytes) -> Array:
    """The array that a pickle holds. Raises NotAnArray with the reason for anything else, whatever the bytes are."""
    try:
        value, foreign = read_pickle(data)
    except ValueError as error:
        raise NotAnArray(str(error)) from error
    return _array(value, foreign)


def _from_zip(file: Path, size: int) -> Array:
    """What `torch.save` wrote, an array or a tensor."""
    archive = read_archive(file)
    value = archive.value
    if isinstance(value, dict) and not archive.opaque:
        keys = ", ".join(str(key) for key in list(value)[:4])
        raise NotAnArray(f"holds a dictionary ({keys[:80]} ...): a checkpoint is for `shotsmith convert`")
    if not isinstance(value, StoredTensor):
        return _array(value, archive.opaque)
    if not value.dtype.is_floating_point:
        raise NotAnArray(f"holds no tensor of floating-point numbers, but one of {value.dtype}")
    # One number can be shown as many: a tensor that the file does not hold whole is not touched.
    if value.numel * value.dtype.itemsize > size:
        raise NotAnArray(f"is damaged: {size} bytes cannot hold a tensor of shape {value.size}")
    array: Array = read_tensors(file, {"embeddings": value})["embeddings"].float().numpy().copy()
    return array


def _array(value: object, foreign: tuple[str, ...]) -> Array:
    if foreign:
        raise NotAnArray(f"needs {foreign[0][:100]!r}, which is code; only what rebuilds an array is followed")
    if not isinstance(value, StoredArray):
        kind = value.name if isinstance(value, Opaque) else type(value).__name__
        raise NotAnArray(f"holds no numpy array, but {kind}")
    if not (isinstance(value.state, tuple) and len(value.state) == 5):
        raise NotAnArray("describes its array in an unknown way")
    _, shape, kind, by_columns, data = value.state
    if not isinstance(data, bytes | bytearray) or not isinstance(kind, StoredType):
        raise NotAnArray("holds no array of numbers")
    dtype = _dtype(kind)
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape) or len(shape) > 8:
        raise NotAnArray("has no shape that an array can have")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise NotAnArray(f"holds {len(data)} bytes for an array of shape {shape}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")


def _dtype(kind: StoredType) -> np.dtype[Any]:
    order: object = "<"
    if kind.state is not None:
        if not (isinstance(kind.state, tuple) and len(kind.state) > 1 and kind.state[1] in ("<", ">", "|", "=")):
            raise NotAnArray("describes its type of numbers in an unknown way")
        order = kind.state[1]
    if not isinstance(kind.code, str) or kind.code not in _NUMBERS:
        raise NotAnArray(f"holds values of type '{str(kind.code)[:20]}', not floating-point numbers")
    return np.dtype(str(order).replace("|", "=") + kind.code)


def _checked(file: Path, values: Array) -> Floats:
    if values.ndim != 2 or not values.size:
        raise DataError(f"has the shape {values.shape}; embeddings are a matrix [N, d]", file=file)
    with np.errstate(invalid="ignore", over="ignore"):
        bad = ~(np.abs(values) <= _LARGEST)
    if bad.any():
        row, column = (int(place) for place in np.argwhere(bad)[0])
        problem = f"is no number an embedding can have: {values[row, column]}"
        raise DataError(problem, file=file, row=row, field=str(column))
    return np.ascontiguousarray(values, dtype=np.float32)
