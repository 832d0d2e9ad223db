"""Images as they are sent to servers: as data URLs of formats that every API accepts."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from functools import lru_cache
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from shotsmith.data.images import load_image
from shotsmith.errors import DataError
from shotsmith.files import file_digest

_IMAGES_KEPT = 2000
"""Data URLs in memory: at 200 kB an image about half a gigabyte."""
_ACCEPTED = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
"""What hosted APIs take, where it is not animated."""
_DAMAGE = (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
"""What Pillow raises on damaged files."""


def data_url(image: Path) -> str:
    """The file as it is, in base64, where its format is accepted; else what the local VLM sees of it, as PNG.

    Raises DataError for what is no image.
    """
    return _data_url(image, file_digest(image))


@lru_cache(maxsize=_IMAGES_KEPT)
def _data_url(image: Path, _content: str) -> str:
    """`_content` is the file's digest, so that a changed file is read anew."""
    try:
        with Image.open(image) as opened:
            kind = None if getattr(opened, "is_animated", False) else _ACCEPTED.get(str(opened.format))
        data = image.read_bytes() if kind is not None else _as_png(image)
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise DataError(f"is not a usable image: {error}", file=image) from error
    return f"data:{kind or 'image/png'};base64,{base64.b64encode(data).decode()}"


def _as_png(image: Path) -> bytes:
    written = io.BytesIO()
    load_image(image).save(written, format="PNG")
    return written.getvalue()
