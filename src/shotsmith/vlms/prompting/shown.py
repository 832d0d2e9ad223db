"""A prompt as it is sent: its text, its tokens, and what becomes of each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from shotsmith.data.images import load_image
from shotsmith.records import Request
from shotsmith.vlms.prompting.image_tokens import ImageTokens
from shotsmith.vlms.prompting.prompt_tokens import PromptTokens
from shotsmith.vlms.prompting.prompts import Prompt


@dataclass(frozen=True, slots=True)
class ShownImage:
    """An image of a prompt."""

    file: Path
    width: int
    height: int
    grid: tuple[int, int] | None
    """Rows and columns of its tokens (Qwen) or of its tiles (IDEFICS3, SmolVLM); None where the model has neither."""
    tokens: int
    """Those that frame it included."""


@dataclass(frozen=True, slots=True)
class ShownPrompt:
    """A prompt, ready for the model."""

    text: str
    """With one placeholder for each image."""
    ids: tuple[int, ...]
    """The model's input, placeholders repeated for every token of an image."""
    images: tuple[ShownImage, ...]
    most_tokens: int | None = None
    """Tokens of the longest prompt that the model's context holds with an answer; None where that is unknown."""


def show_prompt(processor: Any, prompt: Prompt, request: Request, most_tokens: int | None = None) -> ShownPrompt:
    """What a processor makes of a request. Raises DataError for an image that cannot be decoded."""
    tokens = PromptTokens(processor, prompt)
    text = tokens.text(request)
    images = [load_image(image) for image in request.images]
    inputs = processor(
        text=[text],
        images=[images] if images else None,
        add_special_tokens=tokens.adds_special_tokens(text),
    )
    count, alone = ImageTokens(processor), len(images) == 1
    shown = tuple(
        ShownImage(file, *image.size, grid, count(file, alone=alone))
        for file, image, grid in zip(request.images, images, _grids(processor, inputs, images), strict=True)
    )
    return ShownPrompt(text, tuple(map(int, inputs["input_ids"][0])), shown, most_tokens)


def _grids(processor: Any, inputs: Any, images: Sequence[Image.Image]) -> list[tuple[int, int] | None]:
    if images and "image_grid_thw" in inputs:
        merged = int(processor.image_processor.merge_size)
        return [(int(rows) // merged, int(columns) // merged) for _, rows, columns in inputs["image_grid_thw"]]
    if images and getattr(processor, "images_kwargs", {}).get("return_row_col_info"):
        tiles = processor.image_processor(images=[list(images)], return_row_col_info=True)
        sizes = zip(tiles["rows"][0], tiles["cols"][0], strict=True)
        return [(int(rows) or 1, int(columns) or 1) for rows, columns in sizes]
    return [None] * len(images)
