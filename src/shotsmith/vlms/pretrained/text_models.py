"""Language models that take text alone: asked through the interface of a processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer


class TextProcessor:
    """A tokenizer with the interface of a processor of images and text; it has no placeholder for an image."""

    image_token: str | None = None
    image_token_id: int | None = None

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.chat_template = tokenizer.chat_template

    def apply_chat_template(self, chat: Sequence[dict[str, Any]], **options: Any) -> Any:
        """The tokenizer's chat template on turns whose parts are joined: it takes a turn's content as one text."""
        turns = [
            {"role": turn["role"], "content": "".join(str(part["text"]) for part in turn["content"])} for turn in chat
        ]
        return self.tokenizer.apply_chat_template(turns, **options)

    def __call__(self, *, text: Sequence[str], images: None = None, **options: Any) -> Any:
        """Token ids and attention mask of the texts. Raises ValueError for images."""
        if images is not None:
            raise ValueError("a language model takes text alone")
        return self.tokenizer(list(text), return_token_type_ids=False, **options)


def load_text_processor(folder: Path | str) -> TextProcessor:
    """The tokenizer saved in a folder; it pads on the left. No code of the model's repository is run.

    Raises what transformers raises (OSError, ValueError, ImportError) where files are missing or damaged.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return TextProcessor(tokenizer)
