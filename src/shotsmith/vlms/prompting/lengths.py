"""How many tokens a prompt has, told from the files of a processor: no weights, no decoded image."""

from __future__ import annotations

from shotsmith.records import Request
from shotsmith.vlms.prompting.image_tokens import ImageTokens
from shotsmith.vlms.prompting.prompt_tokens import PromptTokens


class PromptLengths:
    """Counts the tokens of prompts for one processor."""

    def __init__(self, prompts: PromptTokens, images: ImageTokens, most_tokens: int | None = None) -> None:
        """`most_tokens`: those of the longest prompt that the model's context holds, where that is known."""
        self._prompts = prompts
        self._images = images
        self.most_tokens = most_tokens

    def __call__(self, request: Request) -> int:
        """Tokens of the prompt, image tokens included. Raises DataError for a file that is no image.

        With IDEFICS2 it may be one off for each image: what stands beside an image changes its frame.
        """
        texts = sum(map(len, self._prompts.prompt(request)))
        alone = len(request.images) == 1
        return texts + sum(self._images(image, alone=alone) for image in request.images)
