"""Pictures of a run's examples, decoded, bounded in size and encoded anew, whatever their files hold."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Literal

from shotsmith.data.images import load_image
from shotsmith.errors import InputError
from shotsmith.records import Example

Size = Literal["small", "large"]
LONGEST_SIDE: dict[Size, int] = {"small": 192, "large": 1024}
"""Pixels of the longer side of a picture in rows of demonstrations, and of one that is looked at."""


def picture_of(example: Example, number: int) -> Path:
    """The file of an example's picture, counted from 0. Raises InputError where it has no such picture."""
    if not 0 <= number < len(example.images):
        raise InputError(f"has {len(example.images)} pictures, and none with the number {number}", row=example.id)
    return example.images[number]


def encoded(file: Path, size: Size) -> bytes:
    """A picture as WebP, never enlarged. Raises DataError for a file that is missing or no image."""
    status = file.stat() if file.exists() else None
    return _encoded(file, size, None if status is None else status.st_mtime_ns)


@lru_cache(maxsize=512)
def _encoded(file: Path, size: Size, _changed: int | None) -> bytes:
    image = load_image(file)
    image.thumbnail((LONGEST_SIDE[size],) * 2)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=85)
    return buffer.getvalue()
