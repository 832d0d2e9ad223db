"""Images as they are sent to servers: as data URLs of formats that every API accepts."""

from __future__ import annotations

import base64
import contextlib
import io
from functools import lru_cache
from pathlib import Path

from PIL import Image

from shotsmith.data.images import DAMAGE, load_image, open_image
from shotsmith.data.orientation import orientation_of
from shotsmith.files import file_digest

_IMAGES_KEPT = 2000
"""Data URLs in memory: at 200 kB an image about half a gigabyte."""
_ACCEPTED = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
"""What hosted APIs take, where it is not animated."""


def data_url(image: Path) -> str:
    """The file as it is, in base64, if its format is accepted and it lies upright; else what a local VLM sees, as PNG.

    Raises DataError for what is no image.
    """
    return _data_url(image, file_digest(image))


@lru_cache(maxsize=_IMAGES_KEPT)
def _data_url(image: Path, _content: str) -> str:
    """`_content` is the file's digest, so that a changed file is read anew."""
    kind = None
    with contextlib.suppress(*DAMAGE, Image.DecompressionBombError), open_image(image) as opened:
        if orientation_of(opened) == 1 and not getattr(opened, "is_animated", False):
            kind = _ACCEPTED.get(str(opened.format))
    data = image.read_bytes() if kind is not None else _as_png(image)
    return f"data:{kind or 'image/png'};base64,{base64.b64encode(data).decode()}"


def _as_png(image: Path) -> bytes:
    written = io.BytesIO()
    load_image(image).save(written, format="PNG")
    return written.getvalue()
