"""Image files as data URLs (RFC 2397), as chat APIs take them."""

from __future__ import annotations

import base64
from functools import lru_cache
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from shotsmith.errors import DataError
from shotsmith.files import file_digest

_IMAGES_KEPT = 2000
"""Data URLs in memory: at 200 kB an image about half a gigabyte."""


def data_url(image: Path) -> str:
    """The file as it is, in base64. Raises DataError naming a file that is no image."""
    return _data_url(image, file_digest(image))


@lru_cache(maxsize=_IMAGES_KEPT)
def _data_url(image: Path, _content: str) -> str:
    """`_content` is the file's digest, so that a changed file is read anew."""
    try:
        with Image.open(image) as opened:
            kind = Image.MIME[str(opened.format)]
        return f"data:{kind};base64,{base64.b64encode(image.read_bytes()).decode()}"
    except (UnidentifiedImageError, OSError, ValueError, KeyError, Image.DecompressionBombError) as error:
        raise DataError(f"is not a usable image: {error}", file=image) from error
