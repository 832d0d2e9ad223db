"""Pictures that a data set holds inside, written once as files named for their content."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image

from shotsmith.data.images import DAMAGE, open_image
from shotsmith.files import digest, replacing

NONE = "-"
"""Stands in a list where a row holds something that is no picture."""


def write_picture(folder: Path, content: bytes) -> str:
    """Write an encoded picture where it is not there yet; returns the file's name. Nothing is decoded."""
    name = digest(content)[:40] + _suffix(content)
    file = folder / name
    if not file.exists():
        with replacing(file, durable=False) as temporary:
            temporary.write_bytes(content)
    return name


def listed(file: Path) -> list[str]:
    """The names in a list of pictures; a line that a kill cut short is dropped from the file."""
    if not file.exists():
        return []
    whole = file.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    os.truncate(file, len(whole))
    return whole.decode().split("\n")[:-1]


def _suffix(content: bytes) -> str:
    try:
        with open_image(io.BytesIO(content)) as image:
            return f".{str(image.format).lower()}"
    except (*DAMAGE, Image.DecompressionBombError):
        return ".unknown"
