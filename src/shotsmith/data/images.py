"""Image files decoded to RGB, whatever they hold, without letting a hostile one fill the memory."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from shotsmith.errors import DataError

MAX_PIXELS = 64_000_000
"""Larger images are refused before they are decoded."""

MAX_RATIO = 200
"""Longer or higher images are refused: VLMs cannot place them, and encoders would blow them up."""

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
"""What Pillow's decoders raise on damaged files."""


def load_image(path: Path) -> Image.Image:
    """The first frame of an image file as RGB, turned the way its EXIF orientation says.

    Grey levels of 16 bits are scaled to 8; transparent parts show white. Raises DataError naming the file.
    """
    try:
        with Image.open(path) as image:
            check_size(image.size, path)
            image.load()
            return _rgb(ImageOps.exif_transpose(image))
    except FileNotFoundError as error:
        raise DataError("no such image", file=path) from error
    except UnidentifiedImageError as error:
        raise DataError("is not an image of a known format", file=path) from error
    except Image.DecompressionBombError as error:
        raise DataError(f"has more than {MAX_PIXELS:,} pixels", file=path) from error
    except _DAMAGE as error:
        raise DataError(f"is a damaged image: {error}", file=path) from error


def check_size(size: tuple[int, int], path: Path) -> None:
    """Raise DataError naming the file where an image is too large or too long to be shown."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise DataError(f"has {width} x {height} pixels, more than {MAX_PIXELS:,}", file=path)
    if max(width, height) >= MAX_RATIO * min(width, height):
        raise DataError(f"has {width} x {height} pixels: one side is {MAX_RATIO} times the other or more", file=path)


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
