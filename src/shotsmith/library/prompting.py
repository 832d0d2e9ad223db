"""The prompt that a selector was trained for, and how long prompts are, without any weights of a VLM."""

from __future__ import annotations

from functools import cached_property

from shotsmith.errors import DataError, InputError
from shotsmith.recipe import VLMSettings
from shotsmith.records import Request
from shotsmith.vlms.pretrained.loading import load_processor_and_prompt, model_folder
from shotsmith.vlms.prompting.budget import Fitted, PromptBudget
from shotsmith.vlms.prompting.image_tokens import ImageTokens
from shotsmith.vlms.prompting.lengths import PromptLengths
from shotsmith.vlms.prompting.prompt_tokens import PromptTokens
from shotsmith.vlms.prompting.prompts import Prompt, load_prompt


class Prompting:
    """Wording and layout of prompts, and their lengths where the VLM's processor is at hand."""

    def __init__(self, settings: VLMSettings | None) -> None:
        """Nothing is loaded before it is needed. None: the default prompt, and no lengths."""
        self._settings = settings

    @cached_property
    def prompt(self) -> Prompt:
        """Raises InputError where the template is not there."""
        return load_prompt((self._settings or VLMSettings()).prompt)

    def count(self, request: Request) -> int | None:
        """Tokens of a prompt; None where they cannot be counted here."""
        return None if self._lengths is None else self._lengths(request)

    def fit(self, request: Request, max_tokens: int | None) -> Fitted:
        """The prompt within `max_tokens`, or else within the budget that the selector was trained with.

        That budget's tokens are left alone where they cannot be counted here. Raises InputError where `max_tokens` is
        given and they cannot, and where the query alone does not fit.
        """
        if max_tokens is not None and self._lengths is None:
            raise InputError(
                "max_tokens needs the processor of the VLM, which is not on this machine (a VLM behind a server, or a "
                "model that is not there)"
            )
        settings = (self._settings or VLMSettings()).prompt
        bound = max_tokens if max_tokens is not None or self._lengths is None else settings.max_tokens
        budget = PromptBudget(settings.model_copy(update={"max_tokens": bound}), self._lengths)
        try:
            return budget.fit(request)
        except DataError as error:
            raise InputError(error.problem, field="vlm.prompt" if max_tokens is None else "max_tokens") from error

    @cached_property
    def _lengths(self) -> PromptLengths | None:
        if self._settings is None or self._settings.local_model is None:
            return None
        try:
            folder = model_folder(self._settings.local_model, weights=False)
            processor, prompt = load_processor_and_prompt(folder, self._settings)
        except InputError:
            return None  # the VLM is elsewhere; selecting does not need it
        return PromptLengths(PromptTokens(processor, prompt), ImageTokens(processor))
