"""The selectors that need no training: what a trained one has to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shotsmith.selectors.protocol import Selector
from shotsmith.selectors.random import Random
from shotsmith.selectors.similar import image_similar, mixed, text_similar
from shotsmith.selectors.zero_shot import ZeroShot

TRAINING_FREE: Mapping[str, Callable[[], Selector]] = {
    "zero_shot": ZeroShot,
    "random": Random,
    "image_similar": image_similar,
    "text_similar": text_similar,
    "mixed": mixed,
}
_BY_IMAGE = frozenset({"image_similar", "mixed"})


def training_free(*, has_images: bool) -> dict[str, Callable[[], Selector]]:
    """Those that mean something for the data: without images there is nothing to compare, and mixed is text_similar."""
    return {name: make for name, make in TRAINING_FREE.items() if has_images or name not in _BY_IMAGE}
