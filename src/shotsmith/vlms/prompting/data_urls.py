"""Images as they are sent to servers: as data URLs of formats that every API accepts.

A server sees the pixels that a local VLM sees, upright, and nothing else of the file: no EXIF, which holds the place
and the time of a photograph, no XMP, no comments.
"""

from __future__ import annotations

import base64
import contextlib
import io
from functools import lru_cache
from pathlib import Path

from PIL import Image

from shotsmith.data.bare_image import without_metadata
from shotsmith.data.images import DAMAGE, load_image, open_image
from shotsmith.data.orientation import orientation_of
from shotsmith.files import file_digest

_IMAGES_KEPT = 2000
"""Data URLs in memory: at 200 kB an image about half a gigabyte."""
_ACCEPTED = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
"""What hosted APIs take, where it is not animated."""
_WEBP_PIXELS = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH")
_GIF_METADATA = ("comment", "extension")
_GIF_END = b"\0;"


def data_url(image: Path) -> str:
    """An image file as a data URL, upright and without metadata.

    An upright PNG or JPEG file keeps its coded pixels, and so does a WebP or GIF file without metadata. Everything else
    is sent as PNG, as a local VLM sees it. Raises DataError for what is no image.
    """
    return _data_url(image, file_digest(image))


@lru_cache(maxsize=_IMAGES_KEPT)
def _data_url(image: Path, _content: str) -> str:
    """`_content` is the file's digest, so that a changed file is read anew."""
    return data_url_of(image.read_bytes(), image)


def data_url_of(content: bytes, name: Path) -> str:
    """The same for the content of a file. Raises DataError that calls it `name`."""
    kind, sent = _as_stored(content) or ("image/png", _as_png(content, name))
    return f"data:{kind};base64,{base64.b64encode(sent).decode()}"


def _as_stored(content: bytes) -> tuple[str, bytes] | None:
    """The MIME type, and the file without metadata; None where it has to be coded anew."""
    with contextlib.suppress(*DAMAGE, Image.DecompressionBombError), open_image(io.BytesIO(content)) as opened:
        kind = _ACCEPTED.get(str(opened.format))
        if kind is None or not _is_plain(opened):
            return None
        if opened.format in ("PNG", "JPEG"):
            bare = without_metadata(content)
            return None if bare is None else (kind, bare[0])
        marked = _webp_is_marked(content) if opened.format == "WEBP" else _gif_is_marked(opened, content)
        return None if marked else (kind, content)
    return None


def _is_plain(image: Image.Image) -> bool:
    """Whether every reader shows these pixels as a local VLM does: one upright frame, opaque, of eight bits."""
    still = not getattr(image, "is_animated", False)
    return still and orientation_of(image) == 1 and not image.has_transparency_data and not image.mode.startswith("I")


def _webp_is_marked(content: bytes) -> bool:
    """Whether a WebP file holds more than pixels."""
    place = 12
    while place + 8 <= len(content):
        if content[place : place + 4] not in _WEBP_PIXELS:
            return True
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        place += 8 + size + size % 2
    return place != len(content)


def _gif_is_marked(image: Image.Image, content: bytes) -> bool:
    """Whether a GIF file holds more than pixels."""
    return any(key in image.info for key in _GIF_METADATA) or not content.endswith(_GIF_END)


def _as_png(content: bytes, name: Path) -> bytes:
    written = io.BytesIO()
    load_image(name, content).save(written, format="PNG")
    return written.getvalue()
