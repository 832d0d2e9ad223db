"""The selectors that need no training: what a trained one has to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shotsmith.selectors.diverse import Diverse
from shotsmith.selectors.mmices import Mmices
from shotsmith.selectors.protocol import Selector
from shotsmith.selectors.random import Random
from shotsmith.selectors.similar import image_similar, mixed, text_similar
from shotsmith.selectors.zero_shot import ZeroShot

_ALTERNATIVES: Mapping[str, Callable[[], Selector] | None] = {
    "zero_shot": ZeroShot,
    "random": Random,
    "fixed": None,  # chosen on validation queries (selectors.fixed)
    "image_similar": image_similar,
    "text_similar": text_similar,
    "mixed": mixed,
    "mmices": Mmices,
    "diverse": Diverse,
    "majority_vote": None,  # answers without the VLM (evaluation.majority_vote)
}
"""Every alternative to training, in the order of tables; None for one that takes more than the query and the bank."""
TRAINING_FREE: Mapping[str, Callable[[], Selector]] = {name: make for name, make in _ALTERNATIVES.items() if make}
"""The selectors that need nothing but the query and the bank."""
FREE = tuple(_ALTERNATIVES)
"""The names of all alternatives to training."""
RECORDED = ("image_similar", "text_similar", "mixed")
"""The selectors whose sequences every group of recorded rollouts holds."""
_BY_IMAGE = frozenset({"image_similar", "mixed", "mmices"})


def training_free(*, has_images: bool) -> dict[str, Callable[[], Selector]]:
    """The selectors that are distinct for the data: without images, none that compares images takes part."""
    return {name: make for name, make in TRAINING_FREE.items() if has_images or name not in _BY_IMAGE}
