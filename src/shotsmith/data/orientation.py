"""Which way up an image file is shown: from its EXIF or XMP metadata, however odd these are.

Metadata say nothing about the pixels but this. Whatever is wrong in them, the image is shown, at worst as it is stored.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any

from PIL import Image

_TAG = 0x0112
_WIDTHS: Mapping[int, str] = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l"}
"""Type of an EXIF value -> its form; cameras write a short, other programs other whole numbers."""
_MOST_ENTRIES = 1000
_XMP = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\s*[\"'<]")
_TURNS: Mapping[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation -> what shows the stored pixels upright."""


def orientation_of(image: Image.Image) -> int:
    """The orientation, 1 (as stored) to 8, of an opened image. EXIF goes before XMP."""
    if image.format == "TIFF":
        return 1  # Pillow turns these itself, size and pixels alike
    found = in_exif(_exif(image.info))
    if found is None:
        found = in_xmp(image.info.get("XML:com.adobe.xmp") or image.info.get("xmp"))
    return found or 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image turned and mirrored so that it is shown upright."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def exchanges_sides(orientation: int) -> bool:
    """Whether width and height are exchanged."""
    return orientation >= 5


def in_exif(content: object) -> int | None:
    """The orientation that an EXIF block tells; None where it tells none that there is."""
    if not isinstance(content, bytes):
        return None
    block = content.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}L", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, start)
        for entry in range(min(count, _MOST_ENTRIES)):
            place = start + 2 + 12 * entry
            tag, kind = struct.unpack_from(f"{order}HH", block, place)
            if tag == _TAG and kind in _WIDTHS:
                (value,) = struct.unpack_from(order + _WIDTHS[kind], block, place + 8)
                return int(value) if 1 <= value <= 8 else None
    except struct.error:  # cut short
        return None
    return None


def in_xmp(content: object) -> int | None:
    """The orientation that an XMP packet tells; None where it tells none."""
    if isinstance(content, str):
        content = content.encode(errors="replace")
    found = _XMP.search(content) if isinstance(content, bytes) else None
    return int(found.group(1)) if found else None


def _exif(info: Mapping[Any, Any]) -> object:
    """The EXIF block of an image; ImageMagick writes it into a PNG as text."""
    raw = info.get("Raw profile type exif")
    if "exif" in info or not isinstance(raw, str):
        return info.get("exif")
    try:
        return bytes.fromhex("".join(raw.split("\n")[3:]))
    except ValueError:
        return None
