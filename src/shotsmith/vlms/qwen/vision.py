"""Vision features of images, computed once per content of an image file and kept: in memory, then on disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, UnidentifiedImageError

from shotsmith.data.images import load_image
from shotsmith.errors import DataError
from shotsmith.files import file_digest
from shotsmith.vlms.qwen.vision_cache import VisionCache
from shotsmith.vlms.work import Work


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """An image as the language model sees it."""

    features: torch.Tensor
    """[rows * columns, hidden size]"""
    rows: int
    columns: int
    content: str
    """Digest of the image file: features are equal where it is."""


class VisionEncoder:
    """The vision tower of a Qwen2.5-VL model with a memory of at most `limit` bytes (least recently used goes first),
    and where there is one a cache on disk behind it.

    Images are encoded one at a time: the features of an image then do not depend, not even in their last bit, on
    which others are asked for with it, and a run that is stopped and taken up again gets the same ones.
    """

    def __init__(
        self, model: Any, image_processor: Any, work: Work, cache: VisionCache | None = None, limit: int = 2 << 30
    ) -> None:
        self._model = model
        self._work = work
        self._cache = cache
        self._processor = image_processor
        self._merge = int(image_processor.merge_size)
        self._limit = limit
        self._bytes = 0
        self._kept: OrderedDict[str, ImageFeatures] = OrderedDict()
        self._tokens: dict[str, int] = {}

    def tokens(self, image: Path) -> int:
        """Tokens that an image takes in a prompt, from the size in its header. Raises DataError if it is no image."""
        key = file_digest(image)
        if key not in self._tokens:
            try:
                with Image.open(image) as opened:
                    width, height = opened.size  # exchanged if EXIF turns the image, which changes no count
                patches = self._processor.get_number_of_image_patches(height, width, {})
            except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
                raise DataError(f"is not a usable image: {error}", file=image) from error
            self._tokens[key] = int(patches) // self._merge**2
        return self._tokens[key]

    def encode(self, images: Sequence[Path]) -> list[ImageFeatures]:
        """The features of each image. Raises DataError naming a file that cannot be decoded."""
        encoded = [self._encoded(image) for image in images]
        while self._bytes > self._limit and self._kept:
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        return encoded

    def _encoded(self, image: Path) -> ImageFeatures:
        content = file_digest(image)
        known = self._kept.get(content)
        self._work.images += 1
        self._work.remembered += known is not None
        if known is None:
            known = self._kept[content] = self._found(image, content)
            self._bytes += _size(known)
        self._kept.move_to_end(content)
        return known

    def _found(self, image: Path, content: str) -> ImageFeatures:
        """From disk, else computed and put there."""
        found = None if self._cache is None else self._cache.get(content)
        if found is not None:
            self._work.read += 1
            rows, columns, _ = found.shape
            return ImageFeatures(found.flatten(0, 1).to(self._model.device), rows, columns, content)
        features = self._compute(image, content)
        if self._cache is not None:
            self._cache.put(content, features.features.unflatten(0, (features.rows, features.columns)))
        return features

    @torch.inference_mode()
    def _compute(self, image: Path, content: str) -> ImageFeatures:
        try:
            inputs = self._processor(images=[load_image(image)], return_tensors="pt")
        except ValueError as error:
            raise DataError(f"cannot be shown to the VLM: {error}", file=image) from error
        grid = inputs["image_grid_thw"]
        device = self._model.device
        output = self._model.model.get_image_features(inputs["pixel_values"].to(device), grid.to(device))
        _, height, width = grid[0].tolist()
        return ImageFeatures(output.pooler_output[0], height // self._merge, width // self._merge, content)


def _size(image: ImageFeatures) -> int:
    return image.features.numel() * image.features.element_size()
