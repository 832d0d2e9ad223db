"""An image file without its metadata: what is decoded where metadata keep the whole from being opened."""

from __future__ import annotations

from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_JPEG = b"\xff\xd8"
_START_OF_SCAN = 0xDA
_ALONE = (0x01, *range(0xD0, 0xD8))
"""JPEG markers without a segment."""
_ADOBE = 0xEE
"""Says how the colours of a JPEG are coded: no metadata."""


def without_metadata(content: bytes) -> tuple[bytes, bytes | None] | None:
    """A PNG or JPEG with nothing but what its pixels need, and its EXIF block, if it has one.

    None for other formats, and for a file that is damaged itself.
    """
    if content.startswith(_PNG):
        return _bare_png(content)
    if content.startswith(_JPEG):
        return _bare_jpeg(content)
    return None


def _bare_png(content: bytes) -> tuple[bytes, bytes | None]:
    kept, exif = [_PNG], None
    for name, chunk in _chunks(content):
        if name in _PNG_PIXELS:
            kept.append(chunk)
        elif name == b"eXIf":
            exif = chunk[8:-4]
    return b"".join(kept), exif


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(_PNG)
    while place + 12 <= len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4], "big")
        yield content[place + 4 : place + 8], content[place:end]
        place = end


def _bare_jpeg(content: bytes) -> tuple[bytes, bytes | None] | None:
    kept, exif, place = [_JPEG], None, 2
    while place + 4 <= len(content):
        if content[place] != 0xFF:
            return None
        marker = content[place + 1]
        if marker == 0xFF:  # padding
            place += 1
            continue
        if marker == _START_OF_SCAN:
            return b"".join((*kept, content[place:])), exif
        if marker in _ALONE:
            place += 2
            continue
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        segment = content[place:end]
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE) or marker == _ADOBE:
            kept.append(segment)
        elif segment[4:10] == b"Exif\0\0" and exif is None:
            exif = segment[4:]
        place = end
    return None
