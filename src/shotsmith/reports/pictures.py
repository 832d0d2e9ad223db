"""Images as data URLs, made small enough for a page that carries hundreds of them."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from pathlib import Path

import PIL.Image

from shotsmith.errors import DataError

LONGEST_SIDE = 224


@lru_cache(maxsize=2048)
def data_url(path: Path) -> str:
    """The image at `path`, at most LONGEST_SIDE pixels a side, as WebP. Raises DataError where it is no image."""
    try:
        with PIL.Image.open(path) as image:
            small = image.convert("RGB")
    except FileNotFoundError as error:
        raise DataError("no such image", file=path) from error
    except OSError as error:
        raise DataError("cannot be read as an image", file=path) from error
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=82)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
