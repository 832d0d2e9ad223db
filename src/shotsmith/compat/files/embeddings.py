"""Embeddings [N, d]: tensors saved by torch (`.pt`), and numpy arrays, saved by torch (`.pth`) or pickled."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np

from shotsmith.compat.checkpoints.inert_pickle import Opaque, StoredTensor
from shotsmith.compat.checkpoints.torch_archive import read_archive, read_tensors
from shotsmith.compat.files.numpy_pickle import Array, NotAnArray, read_array, speaks_of_numpy
from shotsmith.compat.files.records import Role
from shotsmith.embeddings.embedded import Floats
from shotsmith.errors import DataError

_DAMAGE = (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, LookupError, OverflowError, struct.error)
"""What `zipfile` raises for a file that is damaged."""
_LARGEST = 1e6
"""No embedding has a number as large; a damaged one may."""


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


def _from_zip(file: Path, size: int) -> Array:
    """What `torch.save` wrote: the pickle inside says whether it is an array or a tensor."""
    pickled = _pickle_in(file, size)
    if speaks_of_numpy(pickled):
        return read_array(pickled)
    value = read_archive(file).value
    if isinstance(value, dict):
        keys = ", ".join(str(key) for key in list(value)[:4])
        raise NotAnArray(f"holds a dictionary ({keys[:80]} ...): a checkpoint is for `shotsmith convert`")
    if not isinstance(value, StoredTensor) or not value.dtype.is_floating_point:
        kind = value.name if isinstance(value, Opaque) else type(value).__name__
        raise NotAnArray(f"holds no tensor of floating-point numbers, but {kind}")
    # One number can be shown as many: a tensor that the file does not hold whole is not touched.
    if value.numel * value.dtype.itemsize > size:
        raise NotAnArray(f"is damaged: {size} bytes cannot hold a tensor of shape {value.size}")
    array: Array = read_tensors(file, {"embeddings": value})["embeddings"].float().numpy().copy()
    return array


def _pickle_in(file: Path, size: int) -> bytes:
    try:
        with zipfile.ZipFile(file) as archive:
            found = [entry for entry in archive.infolist() if entry.filename.endswith("data.pkl")]
            if len(found) != 1 or found[0].file_size > size or found[0].compress_type != zipfile.ZIP_STORED:
                raise NotAnArray("is a zip archive, but not one that torch.save wrote")
            return archive.read(found[0])
    except _DAMAGE as error:
        if isinstance(error, NotAnArray):
            raise
        raise NotAnArray(f"is damaged: {' '.join(str(error).split())[:160]}") from error


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
