"""The selectors that need no training: what a trained one has to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shotsmith.selectors.diverse import Diverse
from shotsmith.selectors.mmices import Mmices
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
    "mmices": Mmices,
    "diverse": Diverse,
}
"""What chooses by itself."""

FREE = (
    *("zero_shot", "random", "fixed", "image_similar", "text_similar", "mixed", "mmices", "diverse"),
    "majority_vote",
)
"""Names of all alternatives to training, in the order of tables. `fixed` is chosen on validation queries
(selectors.fixed), and `majority_vote` answers without the VLM (evaluation.majority_vote)."""
RECORDED = ("image_similar", "text_similar", "mixed")
"""Those whose sequences every group of recorded rollouts holds."""
_BY_IMAGE = frozenset({"image_similar", "mixed", "mmices"})


def training_free(*, has_images: bool) -> dict[str, Callable[[], Selector]]:
    """Those that mean something for the data: without images there is nothing to compare, and mixed is text_similar."""
    return {name: make for name, make in TRAINING_FREE.items() if has_images or name not in _BY_IMAGE}
