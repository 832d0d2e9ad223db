"""What a model's vision part makes of an image, computed once and kept, for models of several families.

Such a model asks its own `get_image_features` for the features of all images of a batch, in order. Here that method is
answered from memory, or from disk: each image passes the vision part alone, once.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from PIL import Image
from transformers.utils.generic import ModelOutput

from shotsmith.vlms.vision_cache import Features, VisionCache

FAMILIES = frozenset({"idefics2", "idefics3", "llava_onevision", "qwen2_5_vl", "qwen3_vl", "smolvlm"})
"""Models (by their type) of which tests say that they answer the same from kept features; others compute their own."""

_METHOD = "get_image_features"
_LISTED = "[]"
"""Ends the name of features that a model gives and takes as a list with a tensor for each image, not as one tensor."""


@dataclass
class _Output(ModelOutput):
    """What models read of the answer."""

    pooler_output: Any = None
    """Features that stand among the embedded tokens."""
    deepstack_features: Any = None
    """Those added after some later layers, layer by layer."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An image in a prompt."""

    content: str
    """Digest of its file: features are equal where it is."""
    picture: Image.Image
    alone: bool
    """Whether it is the prompt's only one."""


class ImageFeatures:
    """The features of a model's images, at most `limit` bytes of them (the least recently used go first)."""

    def __init__(
        self,
        model: Any,
        processor: Any,
        placed: Callable[[Any], Any],
        cache: VisionCache | None = None,
        limit: int = 2 << 30,
    ) -> None:
        self._processor = processor
        self._placed = placed
        self._cache = cache
        self._limit = limit
        self._kept: OrderedDict[str, Features] = OrderedDict()
        self._bytes = 0
        self._inner = getattr(model, "model", None)
        known = model.config.model_type in FAMILIES
        self._compute: Any = getattr(self._inner, _METHOD, None) if known else None
        self._accepted = frozenset(inspect.signature(self._compute).parameters if self._compute is not None else ())

    @contextmanager
    def of(self, shown: Sequence[Shown]) -> Iterator[None]:
        """Passes within show these images, row by row. A model of another family computes their features itself."""
        if self._compute is None:
            yield
            return

        @wraps(self._compute)  # `generate` passes what its signature names
        def answer(*_given: Any, **options: Any) -> _Output:
            return self._answer(shown, options)

        setattr(self._inner, _METHOD, answer)
        try:
            yield
        finally:
            delattr(self._inner, _METHOD)  # the class's own shows again

    def _answer(self, shown: Sequence[Shown], options: Mapping[str, Any]) -> _Output:
        """What the model is told instead of computing it from what it was given."""
        told = _told([self._features(one, options) for one in shown])
        while self._bytes > self._limit and self._kept:
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        return told

    def _features(self, shown: Shown, options: Mapping[str, Any]) -> Features:
        # Some models look at a prompt's only image more closely than at one of several.
        alone = shown.alone or "batch_num_images" not in self._accepted
        key = shown.content if alone else f"{shown.content}-beside"
        if key not in self._kept:
            found = None if self._cache is None else self._cache.get(key)
            if found is None:
                found = self._computed(shown.picture, 1 if alone else 2, options)
                if self._cache is not None:
                    self._cache.put(key, found)
            self._kept[key] = {name: self._placed(tensor) for name, tensor in found.items()}
            self._bytes += _size(self._kept[key])
        self._kept.move_to_end(key)
        return self._kept[key]

    def _computed(self, picture: Image.Image, times: int, options: Mapping[str, Any]) -> Features:
        """Those of the first of so many equal images in one prompt."""
        text = str(self._processor.image_token) * times
        shown = self._processor(text=[text], images=[[picture] * times], return_tensors="pt")
        inputs = {name: self._placed(value) for name, value in shown.items() if name in self._accepted}
        others = {name: value for name, value in options.items() if not isinstance(value, torch.Tensor)}
        return _taken(self._compute(**(others | inputs)))


def _taken(output: Any) -> Features:
    """The first image's features, by name."""
    later = getattr(output, "deepstack_features", None) or ()
    named = {"pooler_output": output.pooler_output, **{f"{n:03d}": layer for n, layer in enumerate(later)}}
    listed = {name + _LISTED: value[0].clone() for name, value in named.items() if not isinstance(value, torch.Tensor)}
    return listed | {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}


def _told(images: Sequence[Features]) -> _Output:
    """The features of several images as their model gives them itself."""
    joined = {}
    for name in sorted(images[0]):
        tensors = [features[name] for features in images]
        joined[name.removesuffix(_LISTED)] = tensors if name.endswith(_LISTED) else torch.cat(tensors)
    return _Output(joined.pop("pooler_output"), list(joined.values()) or None)


def _size(features: Features) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in features.values())
