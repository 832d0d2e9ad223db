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

from shotsmith.files import digest, replacing

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]

_KINDS: Mapping[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}
"""What we write: embeddings and rows of them."""
_CHECKED = 16 * 2**20
"""Bytes that are checked at each end of an array when it is opened."""


def write_stamped(path: Path, arrays: Mapping[str, Array], stamp: str) -> None:
    """Write the arrays atomically, with `stamp` and a digest of what they hold in the file's metadata."""
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with replacing(path) as temporary:
        save_file(whole, temporary, {"stamp": stamp, "digest": _digest(whole)})


def read_stamped(path: Path, stamp: str) -> dict[str, Array] | None:
    """The arrays in `path`, or None where the file is absent, damaged or made from something else.

    They are mapped, not read: only what is looked at is in memory, and it cannot be changed. Of a large array, damage
    is found in its first and last bytes (`_CHECKED`), where a power loss leaves zeros.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as stored:
            told = stored.metadata() or {}
        if told.get("stamp") != stamp:
            return None
        arrays = _mapped(path)
    except (SafetensorError, OSError) as error:
        logger.warning("%s is damaged (%s) and is made anew", path, error)
        return None
    if "digest" in told and told["digest"] != _digest(arrays):  # files of older versions have none
        logger.warning("%s is damaged (it is not what was written) and is made anew", path)
        return None
    return arrays


def _digest(arrays: Mapping[str, Array]) -> str:
    """SHA-256 over names, types, shapes, and the first and last bytes of each array."""
    parts: list[str | bytes] = []
    for name, array in sorted(arrays.items()):
        flat = array.reshape(-1)
        count = _CHECKED // array.itemsize
        parts += [f"{name} {array.dtype.str} {array.shape}", flat[:count].tobytes(), flat[count:][-count:].tobytes()]
    return digest(*parts)


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
