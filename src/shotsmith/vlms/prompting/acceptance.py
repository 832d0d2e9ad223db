"""Which examples a VLM cannot be shown, told from the files of its processor: no weights, no decoded image."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from shotsmith.data.images import image_size
from shotsmith.data.usable import Objection, fault, texts_object
from shotsmith.errors import DataError, VLMError
from shotsmith.recipe import VLMSettings
from shotsmith.records import Example
from shotsmith.vlms.pretrained.loading import load_processor_and_prompt, model_folder
from shotsmith.vlms.prompting.image_tokens import ImageTokens

MAX_RATIO = 200
"""Longer or higher images are left to no VLM: families refuse them, and encoders would blow them up."""
_ORDINARY_SIDE = 64
_ORDINARY_RATIO = 8
"""An image no smaller and no longer than that suits every processor."""


def objection(settings: VLMSettings) -> Objection:
    """What the VLM of a recipe objects to: control tokens in texts, and image sizes that its processor refuses.

    What the processor behind a server refuses is not known here: there, as everywhere, one side of an image may be up
    to MAX_RATIO times the other. Raises InputError where the model has no processor.
    """
    special: frozenset[str] = frozenset()
    refused: Callable[[tuple[int, int]], str | None] = _no_objection
    if settings.local_model is not None:
        processor, _ = load_processor_and_prompt(model_folder(settings.local_model, weights=False), settings)
        special = frozenset(_special_tokens(processor))
        if processor.image_token is not None:
            refused = lru_cache(maxsize=None)(_Sizes(processor).refused)

    def objects(example: Example) -> DataError | None:
        if (found := texts_object(example, special)) is not None:
            return found
        for image in example.images:
            if (problem := _wrong(image, refused)) is not None:
                return fault(example, f"the image {image} {problem}", "image")
        return None

    return objects


def _wrong(image: Path, refused: Callable[[tuple[int, int]], str | None]) -> str | None:
    """What about an image cannot be shown."""
    try:
        size = image_size(image)
    except DataError as error:
        return error.problem
    shorter, longer = sorted(size)
    if longer >= MAX_RATIO * shorter:
        return f"has {size[0]} x {size[1]} pixels: one side is {MAX_RATIO} times the other or more"
    if shorter >= _ORDINARY_SIDE and longer <= _ORDINARY_RATIO * shorter:
        return None
    return refused(size)


def _no_objection(_size: tuple[int, int]) -> None:
    return None


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
    return {token for token in {*added, processor.image_token or ""} if token.strip()}
