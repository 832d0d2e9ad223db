"""Paths of images that a data set names, kept to the folders that belong to it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from shotsmith.data.rows import Row


def refuse_outside(row: Row, image: Path, folders: Iterable[Path], column: str | None) -> None:
    """Raise DataError where an image, links followed, lies in none of the folders."""
    place = image.resolve()
    if not any(place.is_relative_to(folder.resolve()) for folder in folders):
        raise row.fault(f"the image {image} lies outside the data's folder; `confined: false` allows it", column)
