"""Pictures as applications hold them: paths, encoded bytes, or images of Pillow; each becomes a file."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from shotsmith.data.pictures import write_picture
from shotsmith.errors import InputError

Picture: TypeAlias = str | Path | bytes | Image.Image
"""A path, an encoded file in memory, or a decoded image."""
Pictures: TypeAlias = Picture | Sequence[Picture] | None
"""One picture, several in the order in which they are shown, or none."""


def picture_files(pictures: object, folder: Path) -> tuple[Path, ...]:
    """The files of a picture, of a list of them, or of none (None or an empty list).

    Raises InputError for anything else, and for a path that is not there.
    """
    if pictures is None:
        return ()
    listed = pictures if isinstance(pictures, list | tuple) else [pictures]
    return tuple(picture_file(picture, folder) for picture in listed)


def picture_file(picture: object, folder: Path) -> Path:
    """The file of a picture; one without a file is written into `folder`, named for its content.

    A mapping with `bytes` or `path` is a picture as the `datasets` library holds it. Raises InputError for anything
    else, and for a path that is not there.
    """
    if isinstance(picture, Mapping):
        picture = picture["bytes"] if picture.get("bytes") is not None else picture.get("path")
    if isinstance(picture, str | Path):
        file = Path(picture).expanduser()
        if not file.is_file():
            raise InputError("no such image", file=file)
        return file.absolute()
    if isinstance(picture, Image.Image):
        buffer = io.BytesIO()
        (picture if picture.mode in ("RGB", "RGBA", "L") else picture.convert("RGB")).save(buffer, "PNG")
        picture = buffer.getvalue()
    if not isinstance(picture, bytes):
        raise InputError(f"is a {type(picture).__name__}: a picture is a path, bytes or a PIL image", field="image")
    return folder / write_picture(folder, picture)
