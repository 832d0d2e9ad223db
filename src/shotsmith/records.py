"""The records every part of Shotsmith speaks in. Frozen, without behaviour beyond what follows from their fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from shotsmith.files import file_digest


@dataclass(frozen=True, slots=True)
class Example:
    """Images, one question, the human answers (10 for VQA)."""

    id: int
    images: tuple[Path, ...]
    """One for most data sets; several, in the order in which they are shown; or none (text-only classification)."""
    image_id: int
    """Examples that share it show the same: the same images or, without images, the same text."""
    question: str
    answers: tuple[str, ...]
    question_type: str = ""
    options: tuple[str, ...] = ()
    """What a multiple-choice question can be answered with, as its answers are written; empty for other questions."""
    place: tuple[str, int] | None = field(default=None, compare=False, repr=False)
    """File and row (from 0) that it was read from, for errors."""

    @property
    def image(self) -> Path | None:
        """The first image; None where there is none."""
        return self.images[0] if self.images else None

    @property
    def answer(self) -> str:
        """The most common answer, the first given among equals: what a demonstration shows."""
        return _most_common(self.answers)


def images_digest(example: Example) -> str:
    """The content of an example's images in order: the SHA-256 of each file, blanks between; empty for no image.

    Raises InputError for an image that is missing.
    """
    return " ".join(map(file_digest, example.images))


@lru_cache(maxsize=100_000)  # every prompt that shows an example asks for it
def _most_common(answers: tuple[str, ...]) -> str:
    return Counter(answers).most_common(1)[0][0]


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the VLM: `query` after `demonstrations`, shown in that order.

    `answers` are those whose log-probability is wanted; `text` says whether a generated answer is.
    """

    query: Example
    demonstrations: tuple[Example, ...] = ()
    answers: tuple[str, ...] = ()
    text: bool = True

    @property
    def images(self) -> tuple[Path, ...]:
        """The images of the prompt in the order shown: those of each example, the query's last."""
        return tuple(image for example in (*self.demonstrations, self.query) for image in example.images)


@dataclass(frozen=True, slots=True)
class Completion:
    """What the VLM returned for one request.

    `text` is None where none was asked for; `log_probs` maps each answer asked for to the natural-log
    probability of its tokens after the prompt (summed over the tokens, end-of-turn not included).
    """

    text: str | None
    log_probs: Mapping[str, float] = field(default_factory=dict)
    truncated: bool = field(default=False, compare=False)
    """Whether a server cut the text off at `max_new_tokens`; False also where the VLM does not say."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed completion. It is counted and can be asked again; it is never scored."""

    reason: str
    permanent: bool = field(default=False, compare=False)
    """Whether asking the same VLM again cannot help: it refuses the prompt, or an answer has no tokens of its own."""


Sequence = tuple[int, ...]
"""Demonstrations as positions in a query's pool (0 .. pool size - 1), in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sequence of one query, with its reward (None: the completion failed)."""

    query: int
    sequence: Sequence
    reward: float | None
    log_prob: float | None = None
    """Log-probability under the behaviour policy, where known."""
