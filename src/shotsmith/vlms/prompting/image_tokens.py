"""How many tokens an image takes in a prompt, whatever the processor does with it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from shotsmith.data.images import image_size
from shotsmith.errors import VLMError
from shotsmith.files import file_digest

_BETWEEN = " x "


class ImageTokens:
    """Counts by asking the processor about a blank image of the same size, once for each size.

    Some models give an image fewer tokens where it is not alone in the prompt (LLaVA-OneVision).
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._between = len(processor.tokenizer(_BETWEEN, add_special_tokens=False)["input_ids"])
        self._counted = lru_cache(maxsize=10_000)(self._count)

    def __call__(self, image: Path, *, alone: bool) -> int:
        """Tokens of an image file, those that frame it included.

        Raises DataError if it is no image, VLMError where the processor can do nothing with its size.
        """
        return self.of_size(_size(image, file_digest(image)), alone=alone)

    def of_size(self, size: tuple[int, int], *, alone: bool) -> int:
        """Tokens of an image of that width and height. Raises VLMError where the processor can do nothing with it."""
        return self._counted(size, alone)

    def _count(self, size: tuple[int, int], alone: bool) -> int:
        blank, token = Image.new("RGB", size), self._processor.image_token
        text, images = (token, [blank]) if alone else (token + _BETWEEN + token, [blank, blank])
        try:
            ids = self._processor(text=[text], images=[images], add_special_tokens=False)["input_ids"][0]
        except (ValueError, ArithmeticError) as error:
            raise VLMError(f"the processor cannot place an image of {size[0]} x {size[1]} pixels: {error}") from error
        return len(ids) if alone else (len(ids) - self._between) // 2


@lru_cache(maxsize=1_000_000)
def _size(image: Path, _content: str) -> tuple[int, int]:
    return image_size(image)
