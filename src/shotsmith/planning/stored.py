"""How large what a run leaves on the disk will be."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from shotsmith.completions.store import Store
from shotsmith.embeddings.load import embedding_widths
from shotsmith.files import digest
from shotsmith.planning.sizes import Sizes
from shotsmith.policies.pointer import build_policy
from shotsmith.recipe import Recipe
from shotsmith.records import Completion
from shotsmith.runs import PHASES, SPLITS

_WRITTEN = 4000
_BATCH = 200
_WIDTH = 512
"""Of the embeddings of CLIP ViT-B, where the encoder's configuration is not at hand."""


@lru_cache(maxsize=100)
def bytes_per_completion(origin: str, text_bytes: int, answers: int, answer_bytes: int) -> float:
    """Bytes that a completion takes in the store, found by filling one: keys are random, so that size is linear."""
    text = "x" * text_bytes if text_bytes else None
    batches = [range(start, start + _BATCH) for start in range(0, _WRITTEN, _BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "completions.sqlite"
        with Store.open(file):
            pass
        empty = file.stat().st_size
        with Store.open(file) as store:
            for batch in batches:
                log_probs = {str(number).ljust(answer_bytes, "x"): -1.5 for number in range(answers)}
                store.put_many([(digest(str(number)), Completion(text, log_probs)) for number in batch], origin)
        return (file.stat().st_size - empty) / _WRITTEN


def other_bytes(recipe: Recipe, sizes: Sizes) -> Iterator[tuple[str, float]]:
    """Stage and bytes of embeddings, pools and checkpoints."""
    images, texts = embedding_widths(recipe.encoder, unknown=_WIDTH)
    images *= sizes.has_images
    yield "embed", 4.0 * (images + texts) * sum(sizes.examples.values())
    if recipe.pools is not None:
        yield "pools", 8.0 * recipe.pools.size * sum(getattr(recipe.data, f"{split}_queries") for split in SPLITS)
    width = texts if recipe.encoder.joined == "mean" else images + texts
    policy = build_policy(recipe.policy, width, 0, recipe.longest).state_dict().values()
    trained = [settings for phase in PHASES if (settings := getattr(recipe, phase)).epochs]
    starts = len(trained) * (recipe.policy.start == "similarity")  # the start is kept as an epoch
    checkpoints = sum(settings.epochs for settings in trained) + starts
    states = sum(3 + (settings.average_decay > 0) for settings in trained)  # weights, AdamW's two moments, average
    weights = sum(value.numel() * value.element_size() for value in policy)
    yield "train", float(weights * (checkpoints + states) * len(recipe.seeds))
