"""Vision features of images, computed once per content of an image file and kept: in memory, then on disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from shotsmith.data.images import image_size, load_image
from shotsmith.errors import DataError
from shotsmith.files import file_digest
from shotsmith.vlms.vision_cache import VisionCache
from shotsmith.vlms.work import Work

_PASS_TOKENS = 1024
"""Tokens of images that pass the tower together, on a CPU."""
_READERS = 8
"""Images that are decoded and resized at a time while a GPU has the tower: one takes as long as the other."""


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

    The features of an image do not depend, not even in their last bit, on which others are asked for with it, so a run
    that is stopped and taken up again gets the same ones: on a CPU each row of a pass is computed alike whatever stands
    beside it, and several small images share a pass; elsewhere none do.
    """

    def __init__(
        self, model: Any, image_processor: Any, work: Work, cache: VisionCache | None = None, limit: int = 2 << 30
    ) -> None:
        self._model = model
        self._work = work
        self._cache = cache
        self._processor = image_processor
        self._merge = int(image_processor.merge_size)
        self._pass_tokens = _PASS_TOKENS if model.device.type == "cpu" else 0
        self._limit = limit
        self._bytes = 0
        self._kept: OrderedDict[str, ImageFeatures] = OrderedDict()
        self._tokens: dict[str, int] = {}

    def tokens(self, image: Path) -> int:
        """Tokens that an image takes in a prompt, from the size in its header. Raises DataError if it is no image."""
        key = file_digest(image)
        if key not in self._tokens:
            try:
                width, height = image_size(image)
                patches = self._processor.get_number_of_image_patches(height, width, {})
            except ValueError as error:
                raise DataError(f"is not a usable image: {error}", file=image) from error
            self._tokens[key] = int(patches) // self._merge**2
        return self._tokens[key]

    def encode(self, images: Sequence[Path]) -> list[ImageFeatures]:
        """The features of each image. Raises DataError naming a file that cannot be decoded."""
        contents = [file_digest(image) for image in images]
        wanted = dict(zip(contents, images, strict=True))
        new = {content: image for content, image in wanted.items() if content not in self._kept}
        for computed in self._computed(self._from_disk(new)):
            for content, features in computed.items():
                self._keep(features)
                if self._cache is not None:
                    self._cache.put(
                        content, {"features": features.features.unflatten(0, (features.rows, features.columns))}
                    )
        for content in contents:
            self._kept.move_to_end(content)
        encoded = [self._kept[content] for content in contents]
        self._work.images += len(images)
        self._work.remembered += len(images) - len(new)
        while self._bytes > self._limit and self._kept:
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        return encoded

    def _keep(self, features: ImageFeatures) -> None:
        self._kept[features.content] = features
        self._bytes += _size(features)

    def _from_disk(self, images: Mapping[str, Path]) -> dict[str, Path]:
        """Keep those (by content) that are on disk; returns the others."""
        missing = {}
        for content, image in images.items():
            found = None if self._cache is None else self._cache.get(content)
            if found is None:
                missing[content] = image
                continue
            rows, columns, _ = found["features"].shape
            self._keep(ImageFeatures(found["features"].flatten(0, 1).to(self._model.device), rows, columns, content))
            self._work.read += 1
        return missing

    def _passes(self, images: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
        """Images (by content) that pass the tower together: no more than their tokens allow, but one at least."""
        part: dict[str, Path] = {}
        tokens = 0
        for content, image in images.items():
            size = self.tokens(image)
            if part and tokens + size > self._pass_tokens:
                yield part
                part, tokens = {}, 0
            part[content] = image
            tokens += size
        if part:
            yield part

    def _computed(self, images: Mapping[str, Path]) -> Iterator[dict[str, ImageFeatures]]:
        """The features of images (by content), pass by pass."""
        passes = list(self._passes(images))
        if self._model.device.type == "cpu":  # it has enough to do with the tower
            yield from (self._compute(part, list(map(self._processed, part.values()))) for part in passes)
            return
        with ThreadPoolExecutor(_READERS) as readers:
            shown = readers.map(self._processed, [image for part in passes for image in part.values()])
            for part in passes:
                yield self._compute(part, [next(shown) for _ in part])

    @torch.inference_mode()
    def _compute(self, images: Mapping[str, Path], shown: Sequence[Any]) -> dict[str, ImageFeatures]:
        """The features of images (by content), as the image processor shows them, in one pass."""
        device = self._model.device
        patches = torch.cat([inputs["pixel_values"] for inputs in shown])
        grids = torch.cat([inputs["image_grid_thw"] for inputs in shown])
        output = self._model.model.get_image_features(patches.to(device), grids.to(device)).pooler_output
        computed = {}
        for content, features, (_, height, width) in zip(images, output, grids.tolist(), strict=True):
            own = features.clone() if len(shown) > 1 else features  # not a part of what all of them take
            computed[content] = ImageFeatures(own, height // self._merge, width // self._merge, content)
        return computed

    def _processed(self, image: Path) -> Any:
        try:
            return self._processor(images=[load_image(image)], return_tensors="pt")
        except ValueError as error:
            raise DataError(f"cannot be shown to the VLM: {error}", file=image) from error


def _size(image: ImageFeatures) -> int:
    return image.features.numel() * image.features.element_size()
