"""What Shotsmith asks of a VLM, whatever runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from shotsmith.records import Completion, Failure, Request


class VLM(Protocol):
    """A frozen model that answers few-shot prompts."""

    @property
    def identity(self) -> str:
        """Everything but the request that decides a completion: model and revision, prompt version, decoding."""
        ...

    @property
    def batch_tokens(self) -> int:
        """Prompt tokens (padding included) that one call of `complete` should hold."""
        ...

    def length(self, request: Request) -> int:
        """Tokens of the prompt, image tokens included. Cheap: nothing is decoded or computed."""
        ...

    def complete(self, requests: Sequence[Request]) -> list[Completion | Failure]:
        """Answer one batch, in order. A prompt that cannot be answered gives a Failure, not an exception.

        Raises VLMError where the model itself cannot go on.
        """
        ...


@runtime_checkable
class Bounded(Protocol):
    """A VLM whose `length` counts tokens and whose context is known."""

    @property
    def most_tokens(self) -> int | None:
        """Tokens of the longest prompt that it can answer; None where its configuration does not say."""
        ...
