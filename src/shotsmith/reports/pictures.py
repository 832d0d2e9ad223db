"""Images as data URLs, made small enough for a page that carries hundreds of them."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from pathlib import Path

from shotsmith.data.images import load_image

LONGEST_SIDE = 224


@lru_cache(maxsize=2048)
def data_url(path: Path) -> str:
    """The image at `path`, at most LONGEST_SIDE pixels a side, as WebP. Raises DataError where it is no image."""
    small = load_image(path)
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=82)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
