"""Images go to servers in the formats that hosted APIs take."""

from __future__ import annotations

import base64
import io
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
