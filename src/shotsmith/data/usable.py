"""What a reader accepts and a later stage cannot take: found where the data are read, before a VLM is asked.

Every example is looked at, queries and bank alike. `shotsmith.data.skipped` leaves out what is objected to, or the
first objection is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from shotsmith.data.rows import shown
from shotsmith.errors import DataError
from shotsmith.records import Example

Objection = Callable[[Example], DataError | None]
"""Why an example cannot be used later; None where it can."""

_PLACEHOLDER = re.compile(
    r"<\|(?:image(?:_pad|_\d+)?|video(?:_pad)?|vision_(?:start|end|pad)|im_start|im_end|im_patch|endoftext|placeholder)\|>"
    r"|<image>|</image>|<video>|<image_soft_token>|<start_of_image>|<end_of_image>|<image_placeholder>"
    r"|<fake_token_around_image>|<global-img>|<end_of_utterance>|<row_\d+_col_\d+>"
    r"|<IMG_CONTEXT>|<img>|</img>|\[IMG\]|\[IMG_BREAK\]|\[IMG_END\]"
)
"""Where an image goes, and where turns begin and end, in the prompts of the known families of VLMs."""


def texts_object(example: Example, special: frozenset[str] = frozenset()) -> DataError | None:
    """An objection to a question or an answer that holds a control token of a VLM, or one of `special`.

    In a prompt it would stand for an image that is not there, or end a turn.
    """
    for field, text in _texts(example):
        found = _PLACEHOLDER.search(text)
        token = found.group() if found else next((token for token in special if token in text), None)
        if token is not None:
            return fault(example, f"holds {token!r}, a control token of a VLM: {shown(text)}", field)
    return None


def fault(example: Example, problem: str, field: str) -> DataError:
    """What is wrong with an example, with the place where it was read."""
    file, row = example.place or (None, example.id)
    return DataError(problem, file=file, row=row, field=field)


def check_usable(examples: Iterable[Example], objection: Objection) -> None:
    """Raise the first objection as a DataError."""
    for example in examples:
        if (found := objection(example)) is not None:
            raise found


def _texts(example: Example) -> Iterable[tuple[str, str]]:
    yield "question", example.question
    for answer in example.answers:
        yield "answers", answer
