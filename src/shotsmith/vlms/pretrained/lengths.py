"""Prompt lengths from the files of a model: its processor counts, its configuration bounds. No weights are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoConfig

from shotsmith.errors import InputError
from shotsmith.recipe import VLMSettings
from shotsmith.vlms.pretrained.loading import load_processor_and_prompt, model_folder
from shotsmith.vlms.prompting.budget import PromptBudget
from shotsmith.vlms.prompting.image_tokens import ImageTokens
from shotsmith.vlms.prompting.lengths import PromptLengths
from shotsmith.vlms.prompting.prompt_tokens import PromptTokens


def load_lengths(settings: VLMSettings) -> PromptLengths:
    """What counts the tokens of prompts as the recipe's VLM has them.

    Of the model of a server or a backend, the processor is that of its `processor`. Raises InputError where it is not
    given or there are no such files.
    """
    if settings.token_counter is None:
        section = "server" if settings.backend is None else "backend"
        raise InputError("must be given, so that tokens can be counted", field=f"vlm.{section}.processor")
    folder = model_folder(settings.token_counter, weights=False)
    processor, prompt = load_processor_and_prompt(folder, settings)
    most = most_prompt_tokens(folder, settings)
    return PromptLengths(PromptTokens(processor, prompt), ImageTokens(processor), most)


def most_prompt_tokens(model: Path | Any, settings: VLMSettings) -> int | None:
    """Tokens of the longest prompt that leaves room for the answer in the model's context; None where it is unknown."""
    config: Any = (
        AutoConfig.from_pretrained(model, trust_remote_code=False) if isinstance(model, Path) else model.config
    )
    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    return None if context is None else int(context) - settings.max_new_tokens


def load_budget(settings: VLMSettings) -> PromptBudget | None:
    """The budget of a recipe's prompts; None where it sets none. Raises InputError as `load_lengths` does."""
    if not settings.prompt.has_budget:
        return None
    return PromptBudget(settings.prompt, None if settings.prompt.max_tokens is None else load_lengths(settings))
