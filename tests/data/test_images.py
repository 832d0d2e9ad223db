from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shotsmith.data.images import MAX_PIXELS, load_image
from shotsmith.errors import DataError

RED, BLUE = (255, 0, 0), (0, 0, 255)


def two_tone() -> Image.Image:
    """Red left, blue right; wider than high."""
    image = Image.new("RGB", (16, 8), RED)
    image.paste(BLUE, (8, 0, 16, 8))
    return image


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_rgb_pixels_come_through_unchanged_and_outlive_the_file(tmp_path: Path):
    path = saved(two_tone(), tmp_path / "a.png")
    image = load_image(path)
    path.unlink()
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.asarray(two_tone()))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_its_exif_orientation_says(tmp_path: Path, orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = load_image(saved(two_tone(), tmp_path / "a.png", exif=exif))
    assert image.size == ((16, 8) if orientation <= 4 else (8, 16))
    left_or_top_first = {1: RED, 2: BLUE, 3: BLUE, 4: RED, 5: RED, 6: RED, 7: BLUE, 8: BLUE}
    assert image.getpixel((0, 0)) == left_or_top_first[orientation]


def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path: Path):
    levels = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    image = load_image(saved(Image.fromarray(levels), tmp_path / "a.png"))
    assert [image.getpixel((x, 0)) for x in range(4)] == [(v, v, v) for v in (0, 1, 128, 255)]


def test_transparent_parts_show_white_and_not_the_hidden_colour(tmp_path: Path):
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 255, 255))
    loaded = load_image(saved(image, tmp_path / "a.png"))
    assert [loaded.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), BLUE]


def test_a_transparent_palette_entry_shows_white(tmp_path: Path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    loaded = load_image(saved(image, tmp_path / "a.png", transparency=0))
    assert [loaded.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), BLUE]


def test_a_palette_is_looked_up(tmp_path: Path):
    loaded = load_image(saved(two_tone().quantize(4), tmp_path / "a.gif"))
    assert (loaded.getpixel((0, 0)), loaded.getpixel((15, 7))) == (RED, BLUE)


def test_grey_with_alpha_and_one_bit_images_become_rgb(tmp_path: Path):
    assert load_image(saved(Image.new("LA", (1, 1), (9, 255)), tmp_path / "a.png")).getpixel((0, 0)) == (9, 9, 9)
    assert load_image(saved(Image.new("1", (1, 1), 1), tmp_path / "b.png")).getpixel((0, 0)) == (255, 255, 255)


def test_cmyk_jpeg_shows_its_colours_and_not_their_negative(tmp_path: Path):
    loaded = load_image(saved(two_tone().convert("CMYK"), tmp_path / "a.jpg", quality=95))
    red, green, blue = loaded.getpixel((2, 4))
    assert red > 200 and green < 60 and blue < 60


def png_claiming(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [8001, 12_000, 60_000])
def test_an_image_that_claims_too_many_pixels_is_refused_before_decoding(tmp_path: Path, side: int):
    assert side * side > MAX_PIXELS
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(side, side))
    with pytest.raises(DataError, match="pixels") as caught:
        load_image(path)
    assert caught.value.file == str(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_file_cut_short_anywhere_is_an_error_that_names_it(tmp_path: Path, format_: str):
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format_)
    path = tmp_path / "cut"
    for length in range(0, len(buffer.getvalue()) // 2, 7):
        path.write_bytes(buffer.getvalue()[:length])
        with pytest.raises(DataError) as caught:
            load_image(path)
        assert caught.value.file == str(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_bytes_give_an_image_or_a_named_error_and_nothing_else(tmp_path: Path):
    generator = np.random.default_rng(0)
    path = tmp_path / "damaged"
    for format_ in ("PNG", "JPEG", "GIF", "TIFF"):
        buffer = io.BytesIO()
        two_tone().save(buffer, format_)
        for _ in range(100):
            data = bytearray(buffer.getvalue())
            for position in generator.integers(0, len(data), 3):
                data[position] = generator.integers(0, 256)
            path.write_bytes(data)
            try:
                assert load_image(path).mode == "RGB"
            except DataError as error:
                assert error.file == str(path)


@pytest.mark.parametrize("content", [b"", b"not an image", b'{"question": 1}'])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not an image") as caught:
        load_image(path)
    assert caught.value.file == str(path)


def test_a_missing_image_and_a_folder_are_named(tmp_path: Path):
    with pytest.raises(DataError, match="no such image"):
        load_image(tmp_path / "absent.png")
    with pytest.raises(DataError, match="damaged"):
        load_image(tmp_path)


def test_floating_point_pixels_are_refused_and_not_guessed_at(tmp_path: Path):
    with pytest.raises(DataError, match="floating-point"):
        load_image(saved(Image.new("F", (2, 2), 0.5), tmp_path / "a.tiff"))
