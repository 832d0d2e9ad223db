"""The messages of a selection, with the query's image as its client gave it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shotsmith.errors import InputError
from shotsmith.library.messages import Message
from shotsmith.library.selection import Selection
from shotsmith.serve.faults import Refused
from shotsmith.vlms.prompting.data_urls import data_url


def messages_with(selection: Selection, urls: Sequence[str], *, by_id: bool = False) -> list[Message]:
    """Chat messages for an OpenAI-compatible server. `urls` are the query's images; `by_id` names images of the bank
    by the ids of their examples (of several images: id/0, id/1, ...).

    Raises Refused (500) where an image of the bank is missing: that is not the client's fault.
    """
    try:
        shown = iter([*_bank_images(selection, by_id), *urls])  # in the order of the prompt
        return selection.messages(images=lambda _example: next(shown))
    except InputError as error:
        raise Refused(500, f"an image of the bank cannot be sent: {error.problem}") from error


def _bank_images(selection: Selection, by_id: bool) -> Iterator[str]:
    for one, example in zip(selection.ids, selection.examples, strict=True):
        for place, image in enumerate(example.images):
            name = str(one) if len(example.images) == 1 else f"{one}/{place}"
            yield name if by_id else data_url(image)
