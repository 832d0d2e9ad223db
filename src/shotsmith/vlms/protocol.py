"""What Shotsmith asks of a VLM, whatever runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from shotsmith.records import Completion, Failure, Request


@runtime_checkable
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

    @property
    def counts_tokens(self) -> bool:
        """Whether `length` counts tokens. False: it is 1 for every prompt, and `batch_tokens` counts prompts."""
        ...

    @property
    def gives_log_probs(self) -> bool:
        """Whether `complete` gives the log-probabilities of a request's answers."""
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
