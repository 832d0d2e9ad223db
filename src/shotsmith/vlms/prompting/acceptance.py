"""Which examples a VLM cannot be shown, told from the files of its processor: no weights, no decoded image."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from shotsmith.data.images import image_size
from shotsmith.data.usable import Objection, fault, texts_object
from shotsmith.errors import DataError, VLMError
from shotsmith.recipe import VLMSettings
from shotsmith.records import Example
from shotsmith.vlms.pretrained.loading import load_processor_and_prompt, model_folder
from shotsmith.vlms.prompting.image_tokens import ImageTokens

_ORDINARY_SIDE = 64
_ORDINARY_RATIO = 8
"""An image no smaller and no longer than that suits every processor."""


def objection(settings: VLMSettings) -> Objection:
    """What the VLM of a recipe objects to: control tokens in texts, and image sizes that its processor refuses.

    What the processor behind a server refuses is not known here. Raises InputError where the model has no processor.
    """
    if settings.server is not None:
        return texts_object
    processor, _ = load_processor_and_prompt(model_folder(settings.path, weights=False), settings)
    special = frozenset(_special_tokens(processor))
    refused = lru_cache(maxsize=None)(_Sizes(processor).refused)

    def objects(example: Example) -> DataError | None:
        if (found := texts_object(example, special)) is not None:
            return found
        if example.image is None:
            return None
        try:
            width, height = image_size(example.image)
        except DataError as error:
            return fault(example, f"the image {example.image} {error.problem}", "image")
        if min(width, height) >= _ORDINARY_SIDE and max(width, height) <= _ORDINARY_RATIO * min(width, height):
            return None
        problem = refused((width, height))
        return None if problem is None else fault(example, f"{example.image}: {problem}", "image")

    return objects


class _Sizes:
    """Asks a processor about the sizes of images."""

    def __init__(self, processor: Any) -> None:
        self._tokens = ImageTokens(processor)

    def refused(self, size: tuple[int, int]) -> str | None:
        """Why an image of that size cannot be shown; None where it can."""
        try:
            self._tokens.of_size(size, alone=True)
        except VLMError as error:
            return str(error)
        return None


def _special_tokens(processor: Any) -> set[str]:
    tokenizer = processor.tokenizer
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return {token for token in {*added, processor.image_token} if token.strip()}
