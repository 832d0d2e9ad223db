"""The messages of a selection, with the query's image as its client gave it."""

from __future__ import annotations

from shotsmith.errors import InputError
from shotsmith.library.messages import Message
from shotsmith.library.selection import Selection
from shotsmith.records import Example
from shotsmith.serve.faults import Refused
from shotsmith.vlms.prompting.data_urls import data_url


def messages_with(selection: Selection, url: str | None, *, by_id: bool = False) -> list[Message]:
    """Chat messages for an OpenAI-compatible server. `url` is the query's image; `by_id` names images of the bank by
    the ids of their examples.

    Raises Refused (500) where an image of the bank is missing: that is not the client's fault.
    """
    ids = {id(example): one for example, one in zip(selection.examples, selection.ids, strict=True)}

    def name(example: Example) -> str:
        if example is selection.query:
            assert url is not None
            return url
        assert example.image is not None
        return str(ids[id(example)]) if by_id else data_url(example.image)

    try:
        return selection.messages(images=name)
    except InputError as error:
        raise Refused(500, f"an image of the bank cannot be sent: {error.problem}") from error
