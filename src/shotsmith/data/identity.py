"""Ids of images: they follow from the content of the file, the same in every place and on every machine.

Data sets with image ids of their own (COCO) keep those.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from shotsmith.files import digest, file_digest
from shotsmith.records import Example

ImageIds = Literal["content", "place"]
"""What image ids follow from where the data set gives none. `place` (the absolute path) is that of older runs."""


def picture_number(image: Path) -> int:
    """The id (60 bits) of an image file's content. Raises InputError where it cannot be read."""
    return int(file_digest(image)[:15], 16)


def place_number(image: Path) -> int:
    """The id (60 bits) that older runs gave an image: it follows from the absolute path."""
    return int(digest(str(image))[:15], 16)


def written_number(image: Path) -> int:
    """The id (60 bits) of a picture that was written as a file named for its content."""
    return int(digest(image.name)[:15], 16)


def text_number(text: str) -> int:
    """The image id (60 bits) of an example without an image: equal texts share it."""
    return int(digest("text", text)[:15], 16)


def numbering(ids: ImageIds) -> Callable[[Path], int]:
    """What gives an image file its id."""
    return picture_number if ids == "content" else place_number


def follows_content(example: Example) -> bool:
    """Whether the image id says only what the image shows, so that two files of one content share it."""
    image = example.image
    if image is None:
        return False
    return example.image_id == written_number(image) or (image.is_file() and example.image_id == picture_number(image))
