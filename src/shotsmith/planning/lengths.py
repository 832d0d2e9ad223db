"""Tokens of prompts and answers without a model: the processor's files are enough."""

from __future__ import annotations

from shotsmith.errors import InputError
from shotsmith.recipe import VLMSettings
from shotsmith.records import Example, Request
from shotsmith.vlms.pretrained.loading import load_processor_and_prompt, model_folder
from shotsmith.vlms.prompting.image_tokens import ImageTokens
from shotsmith.vlms.prompting.prompt_tokens import PromptTokens


class Lengths:
    """Counts tokens as the VLM of a recipe would."""

    def __init__(self, settings: VLMSettings) -> None:
        """Raises InputError where the VLM has no processor that can be read, or a server or a backend has the model."""
        if settings.local_model is None:
            field = "vlm.server" if settings.backend is None else "vlm.backend"
            raise InputError("its tokenizer is not known here; say the sizes with --assume", field=field)
        processor, prompt = load_processor_and_prompt(model_folder(settings.local_model, weights=False), settings)
        self._tokenizer = processor.tokenizer
        self._prompts = PromptTokens(processor, prompt)
        self._images = ImageTokens(processor)

    def text(self, request: Request) -> int:
        """Text tokens of a prompt."""
        return sum(map(len, self._prompts.prompt(request)))

    def images(self, example: Example) -> int:
        """Tokens of an example's images among others, from their sizes. Raises DataError if one is no image."""
        return sum(self._images(image, alone=False) for image in example.images)

    def answer(self, answer: str) -> int:
        """Tokens of an answer and its end."""
        return len(self._tokenizer(answer, add_special_tokens=False)["input_ids"]) + 1
