"""Ids of images: they follow from the content of the file, the same in every place and on every machine.

Data sets with image ids of their own (COCO) keep those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from shotsmith.files import digest, file_digest
from shotsmith.records import Example

ImageIds = Literal["content", "place"]
"""What image ids follow from where the data set gives none. `place` (the absolute path) is that of older runs."""


def picture_number(images: Sequence[Path]) -> int:
    """The id (60 bits) of the contents of image files in their order. Raises InputError where one cannot be read."""
    contents = [file_digest(image) for image in images]
    return int((contents[0] if len(contents) == 1 else digest(*contents))[:15], 16)


def place_number(images: Sequence[Path]) -> int:
    """The id (60 bits) that older runs gave images: it follows from the absolute paths."""
    return int(digest(*map(str, images))[:15], 16)


def written_number(images: Sequence[Path]) -> int:
    """The id (60 bits) of pictures that were written as files named for their content."""
    return int(digest(*(image.name for image in images))[:15], 16)


def text_number(text: str) -> int:
    """The image id (60 bits) of an example without an image: equal texts share it."""
    return int(digest("text", text)[:15], 16)


def numbering(ids: ImageIds) -> Callable[[Sequence[Path]], int]:
    """What gives image files their id."""
    return picture_number if ids == "content" else place_number


def follows_content(example: Example) -> bool:
    """Whether the image id says only what the images show, so that two files of one content share it."""
    if not example.images:
        return False
    if example.image_id == written_number(example.images):
        return True
    return all(image.is_file() for image in example.images) and example.image_id == picture_number(example.images)
