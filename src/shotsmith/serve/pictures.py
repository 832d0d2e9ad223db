"""Images in requests: data URLs, base64 or `file://` URLs of allowed folders, checked before anything decodes them."""

from __future__ import annotations

import base64
import binascii
import io
import re
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

from PIL import Image, UnidentifiedImageError

from shotsmith.serve.faults import Refused
from shotsmith.serve.settings import ServeSettings
from shotsmith.vlms.prompting.data_urls import data_url_of

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""What is decoded."""
MOST_ELONGATED = 50
"""Most that one side of an image may be longer than the other: encoders scale images by their shorter side."""
_DATA_URL = re.compile(r"data:[\w.+/-]*(?:;[\w=.+-]+)*;base64,", re.ASCII)
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError)


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a request."""

    content: bytes
    """The encoded file."""
    kind: str
    """Its MIME type."""
    pixels: int

    @property
    def url(self) -> str:
        """The image as a data URL, upright and without metadata. Raises DataError where it is damaged."""
        return data_url_of(self.content, Path("image"))


class Pictures:
    """The images of one request, as files of a temporary folder that is removed at the end of the `with` block."""

    def __init__(self, settings: ServeSettings) -> None:
        """Limits and allowed folders are those of the settings."""
        self._settings = settings
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.pixels = 0
        """Pixels of all images taken so far."""
        self._count = 0

    def __enter__(self) -> Pictures:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def take(self, given: str, param: str) -> Picture:
        """Check an image. Raises Refused (422) naming `param` where it is not one or is too large, 403 for paths that
        are not allowed and for URLs."""
        content = self._content(given, param)
        picture = _checked(content, self._settings.max_pixels, param)
        self.pixels += picture.pixels
        if self.pixels > self._settings.max_pixels:
            raise Refused(422, f"the images of a request have at most {self._settings.max_pixels:,} pixels", param)
        return picture

    def file(self, picture: Picture) -> Path:
        """Write an image into the temporary folder."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="shotsmith-request-")
        self._count += 1
        file = Path(self._folder.name) / f"{self._count}.{picture.kind.partition('/')[2]}"
        file.write_bytes(picture.content)
        return file

    def _content(self, given: str, param: str) -> bytes:
        scheme = given[:8].lower().partition(":")[0]
        if scheme == "file":
            return self._allowed_file(given, param)
        if scheme in ("http", "https", "ftp"):
            raise Refused(403, "URLs are not fetched: send the image as a data URL", param)
        if scheme == "data":
            found = _DATA_URL.match(given)
            if found is None:
                raise Refused(422, "is no base64 data URL", param)
            given = given[found.end() :]
        try:
            return base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refused(422, "is neither base64 nor a data URL", param) from error

    def _allowed_file(self, url: str, param: str) -> bytes:
        refused = Refused(403, "is no file of an allowed folder", param)
        try:
            parts = urlsplit(url)
            file = Path(unquote(parts.path, errors="strict")).resolve()
            if parts.netloc not in ("", "localhost") or not any(
                file.is_relative_to(folder.expanduser().resolve()) for folder in self._settings.allowed_paths
            ):
                raise refused
            if file.stat().st_size > self._settings.max_body_bytes:
                raise Refused(422, f"has more than {self._settings.max_body_bytes:,} bytes", param)
            return file.read_bytes() if file.is_file() else b""
        except (OSError, ValueError) as error:
            raise refused from error


def _checked(content: bytes, most: int, param: str) -> Picture:
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            (width, height), kind = image.size, Image.MIME[str(image.format)]
    except UnidentifiedImageError as error:
        raise Refused(422, f"is not an image of a known format ({', '.join(FORMATS)})", param) from error
    except _DAMAGE as error:
        raise Refused(422, "is a damaged image", param) from error
    if width * height > most:
        raise Refused(422, f"has {width} x {height} pixels, more than {most:,}", param)
    if max(width, height) > MOST_ELONGATED * min(width, height):
        raise Refused(422, f"is {width} x {height}: one side is more than {MOST_ELONGATED} times the other", param)
    return Picture(content, kind, width * height)
