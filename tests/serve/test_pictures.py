"""Images in requests are checked before anything decodes them."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from shotsmith.serve.faults import Refused
from shotsmith.serve.pictures import FORMATS, Pictures
from shotsmith.serve.settings import ServeSettings


def encoded(form: str, size: tuple[int, int] = (8, 6)) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, form)
    return base64.b64encode(buffer.getvalue()).decode()


def header_of_png(width: int, height: int) -> str:
    """A PNG that claims a size and holds nothing."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return base64.b64encode(content + b"\0\0\0\0IDAT\0\0\0\0").decode()


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_is_taken_and_its_file_removed(form: str) -> None:
    with Pictures(ServeSettings()) as pictures:
        picture = pictures.take(encoded(form), "image")
        file = pictures.file(picture)
        with Image.open(file) as opened:
            assert opened.format == form and opened.size == (8, 6)
        url = f"data:{picture.kind};base64,{encoded(form)}"
        assert picture.url == url if form != "BMP" else picture.url.startswith("data:image/png;base64,")
    assert not file.exists() and not file.parent.exists()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_of_a_request_is_passed_on_upright_and_without_metadata(orientation: int) -> None:
    metadata, written = Image.Exif(), io.BytesIO()
    metadata[0x0112], metadata[0x010E] = orientation, "GPS 48.858N 2.294E"
    Image.new("RGB", (8, 6), "red").save(written, "JPEG", exif=metadata)
    with Pictures(ServeSettings()) as pictures:
        url = pictures.take(base64.b64encode(written.getvalue()).decode(), "image").url
    passed_on = base64.b64decode(url.partition(",")[2])
    with Image.open(io.BytesIO(passed_on)) as opened:
        assert opened.size == ((8, 6) if orientation <= 4 else (6, 8)) and not dict(opened.getexif())
    assert b"GPS" not in passed_on


@pytest.mark.parametrize("form", ["TIFF", "PPM", "ICO", "PDF", "PCX"])
def test_other_formats_are_refused(form: str) -> None:
    with Pictures(ServeSettings()) as pictures, pytest.raises(Refused, match="not an image of a known format"):
        pictures.take(encoded(form, (32, 32)), "image")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("width", "height", "problem"),
    [
        (10_000, 10_000, "has 10000 x 10000 pixels"),
        (2**31 - 1, 2**31 - 1, "damaged|pixels"),
        (1, 51, "more than 50 times"),
        (4_000_000, 1, "more than 50 times"),
        (0, 4, "damaged|known format|more than 50"),
    ],
)
def test_images_that_would_be_too_large_are_refused_undecoded(width: int, height: int, problem: str) -> None:
    with Pictures(ServeSettings()) as pictures, pytest.raises(Refused, match=problem) as refused:
        pictures.take(header_of_png(width, height), "image")
    assert refused.value.status == 422 and refused.value.param == "image"


def test_pixels_are_counted_over_a_request() -> None:
    with Pictures(ServeSettings(max_pixels=100)) as pictures:
        pictures.take(encoded("PNG"), "image")
        pictures.take(encoded("PNG"), "image")
        assert pictures.pixels == 96
        with pytest.raises(Refused, match="the images of a request have at most 100 pixels"):
            pictures.take(encoded("PNG"), "image")


def test_files_are_read_from_allowed_folders_only(tmp_path: Path) -> None:
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    for folder in (allowed / "in", outside):
        folder.mkdir(parents=True)
        Image.new("RGB", (8, 6)).save(folder / "a picture.png")
    (allowed / "link.png").symlink_to(outside / "a picture.png")
    (allowed / "passwd").write_text("root:x:0:0")
    with Pictures(ServeSettings(allowed_paths=(allowed,))) as pictures:
        assert pictures.take((allowed / "in" / "a picture.png").as_uri(), "image").pixels == 48
        urls = [
            (outside / "a picture.png").as_uri(),
            f"file://{allowed}/../outside/a%20picture.png",
            f"file://{allowed}/%2e%2e/outside/a%20picture.png",
            f"file://{allowed}/link.png",
            f"file://otherhost{allowed}/in/a%20picture.png",
            f"file://{allowed}/none.png",
            f"file://{allowed}/%00",
            f"file://{allowed}/%ff",
            "file:",
        ]
        for url in urls:
            with pytest.raises(Refused, match="is no file of an allowed folder") as refused:
                pictures.take(url, "image")
            assert refused.value.status == 403, url
        for name in ("passwd", "in"):
            with pytest.raises(Refused, match="known format") as refused:
                pictures.take(f"file://{allowed}/{name}", "image")
            assert "root" not in refused.value.message
    with Pictures(ServeSettings()) as pictures, pytest.raises(Refused, match="allowed folder"):
        pictures.take((allowed / "in" / "a picture.png").as_uri(), "image")


def test_files_larger_than_a_body_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    settings = ServeSettings(allowed_paths=(tmp_path,), max_body_bytes=10)
    with Pictures(settings) as pictures, pytest.raises(Refused, match="has more than 10 bytes"):
        pictures.take((tmp_path / "a.png").as_uri(), "image")
