"""What a selector returns for one query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from shotsmith.errors import InputError
from shotsmith.library.bank import Id
from shotsmith.library.messages import FORMATS, Images, Message, openai_messages
from shotsmith.library.prompting import Prompting
from shotsmith.records import Example, Request

Stopped = Literal["shots", "policy", "budget", "bank"]
"""Why there are no more: as many as asked for, the policy's choice, the token budget, or the bank's end."""


@dataclass(frozen=True)
class Selection:
    """A sequence of demonstrations for a query, ready to be sent."""

    query: Example
    examples: tuple[Example, ...]
    """In the order shown; the last stands next to the query."""
    ids: tuple[Id, ...]
    """What the bank calls them."""
    scores: tuple[float, ...]
    """Of a trained selector: the probability of each when it was chosen. Else: its cosine with the query."""
    chosen_by: str
    """Name of the selector; that of the fallback where the query was unfamiliar and a fallback was asked for."""
    stopped: Stopped
    familiarity: float | None = None
    """Highest cosine with a training query, -1 to 1; None where the selector keeps no training queries."""
    unfamiliar: bool = False
    """Whether the query is less similar to the training queries than 99 % of the validation queries were."""
    prompting: Prompting = field(repr=False, kw_only=True)

    @property
    def request(self) -> Request:
        """Demonstrations and query as a VLM of `shotsmith.vlms` takes them."""
        return Request(self.query, self.examples)

    @cached_property
    def tokens(self) -> int | None:
        """Tokens of the prompt, image tokens included; None where the VLM's processor is not at hand."""
        return self.prompting.count(self.request)

    def messages(self, images: Images = "data_url") -> list[Message]:
        """Chat messages for an OpenAI-compatible server, with the prompt that the selector was trained for.

        `images` says how they are named: 'data_url' (their content), 'path' (a file URL), 'id', or a function from an
        example to a URL. Raises DataError naming an image that is missing or cannot be sent.
        """
        return openai_messages(self.prompting.prompt, self.request, images, self.ids)

    def to(self, form: str) -> list[Message]:
        """Chat messages in another form: 'openai', 'transformers' or 'qwen'. Raises InputError for others."""
        if form not in FORMATS:
            raise InputError(f"messages are given as {', '.join(FORMATS)}, not as {form!r}")
        return FORMATS[form](self.prompting.prompt, self.request)

    def within(self, max_tokens: int | None) -> Selection:
        """The same without the demonstrations, or the images of some, for which the budget of a prompt has no room."""
        fitted = self.prompting.fit(self.request, max_tokens)
        if not fitted.left_out and not fitted.without_image:
            return self
        return replace(
            self,
            examples=fitted.request.demonstrations,
            ids=self.ids[fitted.left_out :],
            scores=self.scores[fitted.left_out :],
            stopped="budget" if fitted.left_out else self.stopped,
        )

    def to_json(self) -> Mapping[str, Any]:
        """Plain values, without images."""
        return {
            "ids": list(self.ids),
            "scores": list(self.scores),
            "chosen_by": self.chosen_by,
            "stopped": self.stopped,
            "tokens": self.tokens,
            "familiarity": self.familiarity,
            "unfamiliar": self.unfamiliar,
            "examples": [
                {
                    "id": one,
                    "question": example.question,
                    "answer": example.answer,
                    "image": None if example.image is None else str(example.image),
                    "images": [str(image) for image in example.images],
                }
                for one, example in zip(self.ids, self.examples, strict=True)
            ],
        }
