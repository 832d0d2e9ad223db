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
