"""Embeddings [N, d]: tensors saved by torch (`.pt`), and numpy arrays, saved by torch (`.pth`) or pickled."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from pickle import UnpicklingError  # the exception alone: torch raises it

import numpy as np
import torch

from shotsmith.encoders.embedded import Floats
from shotsmith.errors import DataError
from shotsmith.predecessor.numpy_pickle import Array, NotAnArray, names_in, read_array
from shotsmith.predecessor.records import Role

_DAMAGE = (
    *(OSError, EOFError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(AssertionError, MemoryError, UnpicklingError),
)
"""What torch raises for a file that is damaged, or holds more than numbers."""
_LARGEST = 1e6
"""No embedding has a number as large; a damaged one may."""
_WANTED = re.compile(r"Unsupported (?:global|class|operand).*?(?=\. |\n|$)|[Uu]nsupported .{0,80}")


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

    Raises DataError naming the file, and the row where a number is no number, for anything but one matrix of
    floating-point numbers.
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
    """What `torch.save` wrote: the pickle inside says whether it is a tensor or an array."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if any(each.compress_type != zipfile.ZIP_STORED or each.file_size > size for each in entries):
                raise NotAnArray("is compressed, as no file of torch is")
            named = [each.filename for each in entries if each.filename.endswith("data.pkl")]
            if len(named) != 1:
                raise NotAnArray("is a zip archive, but not one that torch.save wrote")
            pickled = archive.read(named[0])
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, *_DAMAGE) as error:
        if isinstance(error, NotAnArray):
            raise
        raise NotAnArray(f"is damaged: {_line(error)}") from error
    if any(name.startswith("numpy.") for name in names_in(pickled)):
        return read_array(pickled)
    return _tensor(file, size)


def _tensor(file: Path, size: int) -> Array:
    try:
        value = torch.load(file, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        wanted = _WANTED.search(str(error))
        reason = f"needs more than numbers: {_line(wanted[0])}" if wanted else f"is damaged: {_line(error)}"
        raise NotAnArray(reason) from error
    if isinstance(value, dict):
        keys = ", ".join(str(key) for key in list(value)[:4])
        raise NotAnArray(f"holds a dictionary ({keys[:80]} ...): a checkpoint is for `shotsmith convert`")
    if type(value) is not torch.Tensor or value.layout is not torch.strided or not value.is_floating_point():
        raise NotAnArray(f"holds no tensor of floating-point numbers, but {type(value).__name__}")
    # A few damaged bytes can ask for more memory than there is: what the file does not hold is not touched.
    if value.is_meta or max(value.untyped_storage().nbytes(), value.numel() * value.element_size()) > size:
        raise NotAnArray(f"is damaged: {size} bytes cannot hold a tensor of shape {tuple(value.shape)}")
    try:
        array: Array = value.float().numpy()
    except _DAMAGE as error:
        raise NotAnArray(f"is damaged: {_line(error)}") from error
    return array


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


def _line(said: object) -> str:
    return " ".join(str(said).split())[:160]
