"""Arrays in a safetensors file, stamped with the digest of everything they were made from."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from shotsmith.files import replacing

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]

_KINDS: Mapping[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}
"""What we write: embeddings and rows of them."""


def write_stamped(path: Path, arrays: Mapping[str, Array], stamp: str) -> None:
    """Write the arrays atomically, with `stamp` in the file's metadata."""
    with replacing(path) as temporary:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary, {"stamp": stamp})


def read_stamped(path: Path, stamp: str) -> dict[str, Array] | None:
    """The arrays in `path`, or None where the file is absent, damaged or made from something else.

    They are mapped, not read: only what is looked at is in memory, and it cannot be changed.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as stored:
            if (stored.metadata() or {}).get("stamp") != stamp:
                return None
        return _mapped(path)
    except SafetensorError as error:
        logger.warning("%s is damaged (%s) and is made anew", path, error)
        return None


def _mapped(path: Path) -> dict[str, Array]:
    """The arrays of a sound safetensors file: the header's length, the header in JSON, then the data."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {name: _map(path, 8 + length, told) for name, told in header.items()}


def _map(path: Path, start: int, told: Mapping[str, Any]) -> Array:
    kind, shape = _KINDS[told["dtype"]], tuple(told["shape"])
    if 0 in shape:  # nothing to map
        return np.zeros(shape, kind)
    mapped: Array = np.memmap(path, kind, "r", start + int(told["data_offsets"][0]), shape)
    return mapped
