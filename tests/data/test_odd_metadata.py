"""Good pixels with odd metadata are shown, upright; and nothing but an image of a known format is opened."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shotsmith.data.images import image_size, load_image
from shotsmith.data.orientation import in_exif, in_xmp
from shotsmith.errors import DataError
from shotsmith.reports.pictures import data_url

RED, BLUE = (255, 0, 0), (0, 0, 255)


def two_tone() -> Image.Image:
    """Red left, blue right; wider than high."""
    image = Image.new("RGB", (16, 8), RED)
    image.paste(BLUE, (8, 0, 16, 8))
    return image


def block(*entries: bytes, order: str = ">", start: int = 8) -> bytes:
    """An EXIF block with these entries of twelve bytes."""
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(f"{order}L", start)
    return b"Exif\0\0" + head + struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)


def orientation(value: int = 6, kind: int = 3) -> bytes:
    form = {1: ">HHLBxxx", 3: ">HHLHxx", 4: ">HHLL", 8: ">HHLhxx"}[kind]
    return struct.pack(form, 0x0112, kind, 1, value)


RESOLUTION_AS_TEXT = struct.pack(">HHL4s", 0x011A, 2, 3, b"72\0\0")
ENDLESS = struct.pack(">HHLL", 0x010F, 2, 0xFFFFFFF0, 0xFFFFFFF0)
UNKNOWN_TYPE = struct.pack(">HHLL", 0x010E, 99, 1, 0)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'

TURNED = {
    "a resolution of another type": {"exif": block(RESOLUTION_AS_TEXT, orientation())},
    "a value beyond the end": {"exif": block(ENDLESS, orientation())},
    "a value of an unknown type": {"exif": block(UNKNOWN_TYPE, orientation())},
    "an orientation of another type": {"exif": block(orientation(kind=4))},
    "a signed orientation": {"exif": block(orientation(kind=8))},
    "one byte": {"exif": block(orientation(kind=1))},
}
AS_STORED = {
    "no orientation that there is": {"exif": block(orientation(77))},
    "orientation 0": {"exif": block(orientation(0))},
    "cut short": {"exif": block(orientation())[:17]},
    "an empty block": {"exif": b"Exif\0\0"},
    "no block": {"exif": b"Exif\0\0nothing like it"},
    "a directory beyond the end": {"exif": block(orientation(), start=100_000)},
    "a profile that is none": {"icc_profile": b"no profile"},
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("options", "turned"),
    [(options, True) for options in TURNED.values()] + [(options, False) for options in AS_STORED.values()],
    ids=[*TURNED, *AS_STORED],
)
def test_the_picture_is_shown_and_upright_where_the_metadata_say_how(tmp_path: Path, format_, options, turned) -> None:
    path = tmp_path / "a.jpg"
    two_tone().save(path, format_, **({"quality": 95} if format_ == "JPEG" else {}), **options)
    image = load_image(path)
    assert image.size == image_size(path) == ((8, 16) if turned else (16, 8))
    red, _, blue = image.getpixel((4, 2) if turned else (2, 4))
    assert red > 200 and blue < 60


def test_an_orientation_in_xmp_alone_turns_the_picture(tmp_path: Path) -> None:
    for format_ in ("JPEG", "WEBP"):
        two_tone().save(tmp_path / "a", format_, xmp=XMP)
        assert load_image(tmp_path / "a").size == image_size(tmp_path / "a") == (8, 16)
    assert in_xmp("<tiff:Orientation>3</tiff:Orientation>") == 3
    assert in_xmp(b"<tiff:Orientation>12</tiff:Orientation>") is None


def test_exif_goes_before_xmp(tmp_path: Path) -> None:
    two_tone().save(tmp_path / "a.jpg", exif=block(orientation(1)), xmp=XMP)
    assert load_image(tmp_path / "a.jpg").size == (16, 8)


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("format_", ["TIFF", "JPEG", "PNG", "WEBP"])
def test_the_size_told_from_the_header_is_that_of_the_decoded_image(tmp_path: Path, format_: str, number: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = number
    two_tone().save(tmp_path / "a", format_, exif=exif)
    assert image_size(tmp_path / "a") == load_image(tmp_path / "a").size == ((16, 8) if number < 5 else (8, 16))


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_with(*chunks: bytes) -> bytes:
    buffer = io.BytesIO()
    two_tone().save(buffer, "PNG")
    content = buffer.getvalue()
    return content[:33] + b"".join(chunks) + content[33:]


ODD_CHUNKS = {
    "a text that unpacks to megabytes": chunk(b"zTXt", b"about\0\0" + zlib.compress(bytes(3_000_000))),
    "a profile of megabytes": chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(3_000_000))),
    "a damaged profile": chunk(b"iCCP", b"profile\0\0no zlib"),
    "an empty text": chunk(b"iTXt", b""),
    "EXIF that is none": chunk(b"eXIf", b"no"),
    "a resolution cut short": chunk(b"pHYs", b"\0"),
    "a wrong checksum": chunk(b"tEXt", b"a\0b")[:-1] + b"?",
}


@pytest.mark.parametrize("odd", ODD_CHUNKS.values(), ids=ODD_CHUNKS)
def test_chunks_beside_the_pixels_of_a_png_do_not_matter(tmp_path: Path, odd: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_with(odd))
    assert np.array_equal(np.asarray(load_image(path)), np.asarray(two_tone()))
    path.write_bytes(png_with(odd, chunk(b"eXIf", block(orientation())[6:])))
    if odd[4:8] != b"eXIf":
        assert load_image(path).size == image_size(path) == (8, 16)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_segments_beside_the_pixels_of_a_jpeg_do_not_matter(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    two_tone().save(buffer, "JPEG", quality=95)
    content = buffer.getvalue()
    for name, segment in (
        (0xE1, b"Exif\0\0"),
        (0xE2, b"ICC_PROFILE\0"),
        (0xE2, b"MPF\0II*\0"),
        (0xED, b"Photoshop 3.0\0"),
    ):
        odd = bytes((0xFF, name)) + struct.pack(">H", 2 + len(segment)) + segment
        (tmp_path / "a.jpg").write_bytes(content[:2] + odd + content[2:])
        assert load_image(tmp_path / "a.jpg").size == (16, 8)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(ran) = flush\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("content", [EPS, b"8BPS" + bytes(100), b"SIMPLE  = T", b"<svg/>"])
def test_a_program_or_an_unusual_format_is_refused_whatever_its_name(
    tmp_path: Path, monkeypatch, content: bytes
) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *_args, **_options: pytest.fail("started a program"))
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    for read in (load_image, image_size, data_url):
        with pytest.raises(DataError, match="not an image of a known format") as caught:
            read(path)
        assert caught.value.file == str(path)


def test_blocks_of_random_bytes_tell_an_orientation_or_none() -> None:
    rng = np.random.default_rng(0)
    for _ in range(3000):
        content = bytearray(block(RESOLUTION_AS_TEXT, orientation()))
        for place in rng.integers(0, len(content), 3):
            content[place] = rng.integers(256)
        assert in_exif(bytes(content)) in (None, *range(1, 9))
