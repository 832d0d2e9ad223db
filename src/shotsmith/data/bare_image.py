"""An image file without its metadata: what is sent, and what is decoded where metadata keep it from being opened.

What is left out: EXIF (with the place and time of a photograph), XMP, IPTC, comments, colour profiles, thumbnails, and
whatever follows the end of the image. The coded pixels stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_JPEG = b"\xff\xd8"
_START_OF_SCAN, _END, _COMMENT = 0xDA, 0xD9, 0xFE
_ALONE = (0x01, *range(0xD0, 0xD8))
"""JPEG markers without a segment."""
_JFIF = 0xE0
_ADOBE = 0xEE
"""Says how the colours of a JPEG are coded: no metadata."""
_PLAIN_JFIF = 18
"""Bytes of a JFIF segment without a thumbnail, its marker included."""
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""What ends a scan of a JPEG: within it, 0xFF is followed by 0 or the number of a restart."""


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
        if name == b"IEND":
            break
    return b"".join(kept), exif


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(_PNG)
    while place + 12 <= len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4], "big")
        yield content[place + 4 : place + 8], content[place:end]
        place = end


def _bare_jpeg(content: bytes) -> tuple[bytes, bytes | None] | None:
    kept, exif, place, scanned = [_JPEG], None, 2, False
    while place + 2 <= len(content):
        if content[place] != 0xFF:
            break
        marker = content[place + 1]
        if marker == 0xFF:  # padding
            place += 1
            continue
        if marker == _END:
            kept.append(content[place : place + 2])
            break
        if marker in _ALONE:
            place += 2
            continue
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        if marker == _START_OF_SCAN:
            scanned = True
            following = _MARKER.search(content, end)
            end = following.start() if following else len(content)
        segment = content[place:end]
        if _is_needed(marker, segment):
            kept.append(segment)
        elif segment[4:10] == b"Exif\0\0" and exif is None:
            exif = segment[4:]
        place = end
    return (b"".join(kept), exif) if scanned else None


def _is_needed(marker: int, segment: bytes) -> bool:
    """Whether the pixels need a segment of a JPEG, or it says no more than that the file is one."""
    if marker == _JFIF:
        return segment[4:9] == b"JFIF\0" and len(segment) == _PLAIN_JFIF
    return marker == _ADOBE or not (_JFIF <= marker <= 0xEF or marker == _COMMENT)
