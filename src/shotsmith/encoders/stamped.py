"""Arrays in a safetensors file, stamped with the digest of everything they were made from."""

from __future__ import annotations

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


def write_stamped(path: Path, arrays: Mapping[str, Array], stamp: str) -> None:
    """Write the arrays atomically, with `stamp` in the file's metadata."""
    with replacing(path) as temporary:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary, {"stamp": stamp})


def read_stamped(path: Path, stamp: str) -> dict[str, Array] | None:
    """The arrays in `path`, or None where the file is absent, damaged or made from something else."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as stored:
            if (stored.metadata() or {}).get("stamp") != stamp:
                return None
            return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - not a mapping
    except SafetensorError as error:
        logger.warning("%s is damaged (%s) and is made anew", path, error)
        return None
