"""Image files decoded to RGB, whatever they hold, without letting a hostile one fill the memory or run a program."""

from __future__ import annotations

import errno
import io
import struct
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from shotsmith.data.bare_image import without_metadata
from shotsmith.data.orientation import exchanges_sides, in_exif, orientation_of, upright
from shotsmith.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "AVIF", "ICO", "PCX", "TGA")
"""Formats that are opened, told by the content. Others are refused: some (EPS) are programs that run when opened."""
MAX_PIXELS = 64_000_000
"""Larger images are refused before they are decoded."""

DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise on damaged files."""


def open_image(source: Path | io.BytesIO) -> Image.Image:
    """An image of one of FORMATS, not yet decoded. Raises what Pillow raises: DAMAGE, or a decompression bomb."""
    return Image.open(source, formats=_installed())


@lru_cache
def _installed() -> tuple[str, ...]:
    """Those of FORMATS that this Pillow can open."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def load_image(path: Path, content: bytes | None = None) -> Image.Image:
    """The first frame of an image file as RGB, turned the way its metadata say.

    Grey levels of 16 bits are scaled to 8; transparent parts show white. Metadata that cannot be read are ignored.
    Where `content` is given, it is decoded instead of the file, which then only names it. Raises DataError naming the
    file.
    """
    try:
        return _decoded(path if content is None else io.BytesIO(content), path)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError("no such image", file=path) from error
    except Image.DecompressionBombError as error:
        raise DataError(f"has more than {MAX_PIXELS:,} pixels", file=path) from error
    except DAMAGE as error:
        image = _load_bare(path, content)
        if image is None:
            raise _unreadable(error, path) from error
        return image


def image_size(path: Path) -> tuple[int, int]:
    """Width and height as the image is shown, from its header. Raises DataError if it is no image, or too large."""
    try:
        with open_image(path) as image:
            size, turned = image.size, exchanges_sides(orientation_of(image))
    except FileNotFoundError as error:
        raise DataError("no such image", file=path) from error
    except Image.DecompressionBombError as error:
        raise DataError(f"has more than {MAX_PIXELS:,} pixels", file=path) from error
    except DAMAGE:
        return load_image(path).size
    check_size(size, path)
    return (size[1], size[0]) if turned else size


def check_size(size: tuple[int, int], path: Path) -> None:
    """Raise DataError naming the file where an image is too large to be shown."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise DataError(f"has {width} x {height} pixels, more than {MAX_PIXELS:,}", file=path)


def _decoded(source: Path | io.BytesIO, path: Path, orientation: int | None = None) -> Image.Image:
    with open_image(source) as image:
        check_size(image.size, path)
        turn = orientation_of(image) if orientation is None else orientation
        image.load()
        return _rgb(upright(image, turn))


def _load_bare(path: Path, content: bytes | None) -> Image.Image | None:
    """The image without its metadata, where these are what keeps it from being opened; None where they are not."""
    try:
        bare = without_metadata(path.read_bytes() if content is None else content)
        if bare is None:
            return None
        pixels, exif = bare
        return _decoded(io.BytesIO(pixels), path, in_exif(exif) or 1)
    except (*DAMAGE, Image.DecompressionBombError):
        return None


def _unreadable(error: Exception, path: Path) -> DataError:
    if isinstance(error, UnidentifiedImageError):
        return DataError("is not an image of a known format", file=path)
    if isinstance(error, PermissionError) or (isinstance(error, OSError) and error.errno == errno.EIO):
        return DataError(f"cannot be read: {error.strerror}", file=path)
    return DataError(f"is a damaged image: {error}", file=path)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # Pillow clips 16-bit grey levels at 255 where it should scale them
        levels = np.clip(np.asarray(image, dtype=np.int64) >> 8, 0, 255)
        return Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed range")
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", opaque.size, "white"), opaque).convert("RGB")
    # A copy also where nothing is to be done: it outlives the file.
    return image.convert("RGB") if image.mode != "RGB" else image.copy()
