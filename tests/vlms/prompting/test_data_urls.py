"""Images go to servers in the formats that hosted APIs take, upright, and without what else their files say."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from shotsmith.data.images import load_image
from shotsmith.errors import DataError
from shotsmith.vlms.prompting.data_urls import data_url

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8))
OTHER = PICTURE.rotate(180)


def sent(file: Path) -> tuple[str, bytes]:
    head, _, data = data_url(file).partition(",")
    return head, base64.b64decode(data)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif"])
def test_what_every_api_takes_is_sent_as_it_is(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    PICTURE.save(file, format=kind)
    assert sent(file) == (f"data:image/{kind};base64", file.read_bytes())


@pytest.mark.parametrize("kind", ["bmp", "tiff", "ppm", "tga", "jpeg2000", "ico", "pcx", "mpo"])
def test_other_formats_are_sent_as_png_with_the_same_pixels(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    more = {"save_all": True, "append_images": [OTHER]} if kind == "mpo" else {}
    PICTURE.save(file, format=kind, **more)
    check_png(file)


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_of_several_frames_the_first_is_sent(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    PICTURE.save(file, format=kind, save_all=True, append_images=[OTHER])
    check_png(file)


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "CMYK", "RGBA", "P"])
def test_every_kind_of_pixels_can_be_sent(mode: str, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    (PICTURE.convert("L").convert(mode) if mode in ("1", "I;16") else PICTURE.convert(mode)).save(file, format="tiff")
    check_png(file)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "I;16"])
def test_transparent_and_deep_pixels_are_sent_as_a_local_vlm_sees_them(mode: str, tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    if mode == "I;16":
        Image.fromarray(np.random.default_rng(0).integers(0, 65535, (9, 7), dtype=np.uint16)).save(file)
    else:
        see_through = PICTURE.convert(mode)
        see_through.putalpha(100)
        see_through.save(file)
    with Image.open(file) as opened:
        assert opened.mode == mode
    check_png(file)


WHERE = b"GPS 48.858N 2.294E"
"""What must not be sent."""
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description exif:GPS="%s"/></x:xmpmeta>' % WHERE


def exif(orientation: int | None) -> Image.Exif:
    """The EXIF block of a photograph: how the camera was held, where, and with which words."""
    block = Image.Exif()
    if orientation is not None:
        block[0x0112] = orientation
    block[0x010E] = WHERE.decode()
    block.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    return block


def check_clean(file: Path) -> tuple[str, Image.Image]:
    """What is sent has the pixels of a local VLM, whoever ignores or follows its metadata, and no metadata."""
    head, data = sent(file)
    assert WHERE not in data and b"Exif" not in data and b"eXIf" not in data
    with Image.open(io.BytesIO(data)) as opened:
        assert not dict(opened.getexif()) and "exif" not in opened.info and "xmp" not in opened.info
        shown = opened.convert("RGB")
    assert shown.size == load_image(file).size
    assert not ImageChops.difference(shown, load_image(file)).getbbox()
    return head, shown


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_photographs_are_sent_upright_and_without_the_place_where_they_were_taken(
    kind: str, orientation: int, tmp_path: Path
) -> None:
    file = tmp_path / "photograph"
    PICTURE.save(file, format=kind, exif=exif(orientation))
    assert WHERE in file.read_bytes()
    _, shown = check_clean(file)
    assert shown.size == ((7, 9) if orientation <= 4 else (9, 7))


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_an_upright_photograph_keeps_its_coded_pixels(kind: str, tmp_path: Path) -> None:
    plain, file = tmp_path / "plain", tmp_path / "photograph"
    PICTURE.save(plain, format=kind)
    PICTURE.save(file, format=kind, exif=exif(None))
    assert sent(file) == sent(plain) == (f"data:image/{kind};base64", plain.read_bytes())


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_picture_turned_by_xmp_alone_is_sent_upright(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    turned = XMP.replace(b"exif:GPS", b'tiff:Orientation="6" exif:GPS')
    if kind == "png":
        file.write_bytes(with_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + turned))
    else:
        PICTURE.save(file, format=kind, xmp=turned)
    assert WHERE in file.read_bytes()
    assert check_clean(file)[1].size == (9, 7)


def with_chunk(name: bytes, content: bytes) -> bytes:
    written = io.BytesIO()
    PICTURE.save(written, format="png")
    png = written.getvalue()
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return png[:33] + chunk + png[33:]


def with_segment(marker: int, content: bytes, *, progressive: bool = False) -> bytes:
    written = io.BytesIO()
    PICTURE.save(written, format="jpeg", progressive=progressive)
    jpeg = written.getvalue()
    return jpeg[:20] + bytes((0xFF, marker)) + struct.pack(">H", 2 + len(content)) + content + jpeg[20:]


def as_gif(**more: bytes) -> bytes:
    written = io.BytesIO()
    PICTURE.save(written, format="gif", **more)
    return written.getvalue()


def as_webp(**more: bytes) -> bytes:
    written = io.BytesIO()
    PICTURE.save(written, format="webp", **more)
    return written.getvalue()


TOLD = {
    "text of a png": with_chunk(b"tEXt", b"Comment\0" + WHERE),
    "a colour profile of a png": with_chunk(b"iCCP", b"profile\0\0" + WHERE),
    "what follows a png": with_chunk(b"tEXt", b"Comment\0-") + WHERE,
    "xmp of a jpeg": with_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
    "iptc of a jpeg": with_segment(0xED, b"Photoshop 3.0\0" + WHERE),
    "a comment in a jpeg": with_segment(0xFE, WHERE),
    "a thumbnail of a jpeg": with_segment(0xE0, b"JFXX\0\x10" + WHERE),
    "what follows a jpeg": with_segment(0xFE, b"-") + WHERE,
    "what follows a progressive jpeg": with_segment(0xFE, b"-", progressive=True) + WHERE,
    "a comment in a gif": as_gif(comment=WHERE),
    "what follows a gif": as_gif() + WHERE,
    "xmp of a webp": as_webp(xmp=XMP),
    "what follows a webp": as_webp() + WHERE,
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("content", TOLD.values(), ids=TOLD)
def test_nothing_but_pixels_is_sent(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    file.write_bytes(content)
    assert WHERE in content
    check_clean(file)


def test_a_progressive_jpeg_is_sent_whole(tmp_path: Path) -> None:
    """It has a table and a scan after another: all of them are pixels."""
    file = tmp_path / "picture.jpg"
    large = PICTURE.resize((70, 90))
    large.save(file, format="jpeg", progressive=True, exif=exif(1))
    assert file.read_bytes().count(b"\xff\xda") > 2
    assert check_clean(file)[0] == "data:image/jpeg;base64"
    large.save(file, format="jpeg", progressive=True)
    assert sent(file)[1] == file.read_bytes()


def test_a_jpeg_with_restarts_is_sent_whole(tmp_path: Path) -> None:
    file = tmp_path / "picture.jpg"
    PICTURE.resize((70, 90)).save(file, format="jpeg", restart_marker_blocks=1)
    assert b"\xff\xd0" in file.read_bytes() and sent(file)[1] == file.read_bytes()


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_the_colours_of_a_jpeg_stay(mode: str, tmp_path: Path) -> None:
    file = tmp_path / "picture.jpg"
    PICTURE.convert(mode).save(file, format="jpeg", exif=exif(1))
    assert check_clean(file)[0] == "data:image/jpeg;base64"


def check_png(file: Path) -> None:
    head, data = sent(file)
    with Image.open(io.BytesIO(data)) as opened:
        assert (head, opened.format, getattr(opened, "is_animated", False)) == ("data:image/png;base64", "PNG", False)
        assert not ImageChops.difference(opened.convert("RGB"), load_image(file)).getbbox()


@pytest.mark.parametrize("content", [b"", b"no image", b"BM" + bytes(60), b"II*\0" + b"\xff" * 40, b"GIF89a"])
def test_what_is_no_image_is_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "bad.bmp"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.bmp"):
        sent(file)
