"""A few-shot prompt as messages, in the forms that servers and libraries take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from shotsmith.errors import InputError
from shotsmith.library.bank import Id
from shotsmith.records import Example, Request
from shotsmith.vlms.prompting.data_urls import data_url
from shotsmith.vlms.prompting.prompts import Prompt

Message: TypeAlias = dict[str, Any]
QUERY = "query"
"""What the query's images are called where images are named by id."""
Images: TypeAlias = Literal["data_url", "path", "id"] | Callable[[Example], str]
"""How an image is named in OpenAI's messages: its content as a data URL, a file URL, what the bank calls its example
(of several images: id/0, id/1, ...; 'query' for the query's own), or whatever a function makes of the example (for
images that a server can fetch). The function is given each of several images in an example of its own."""


def openai_messages(
    prompt: Prompt, request: Request, images: Images = "data_url", ids: Sequence[Id] | None = None
) -> list[Message]:
    """Chat messages with content parts of OpenAI's API; `ids` are what the bank calls the demonstrations.

    Raises DataError naming an image that cannot be sent.
    """
    names = [*(ids if ids is not None else [one.id for one in request.demonstrations]), QUERY]
    examples = zip((*request.demonstrations, request.query), names, strict=True)
    shown = iter([(one, place, name) for one, name in examples for place in range(len(one.images))])

    def part(given: Message) -> Message:
        if given["type"] != "image":
            return given
        return {"type": "image_url", "image_url": {"url": _url(*next(shown), images)}}

    turns = prompt.messages(request)
    return [{"role": turn["role"], "content": [part(one) for one in turn["content"]]} for turn in turns]


def transformers_messages(prompt: Prompt, request: Request) -> list[Message]:
    """Chat messages as `apply_chat_template` of transformers takes them; images are paths."""
    return prompt.messages(request)


def qwen_messages(prompt: Prompt, request: Request) -> list[Message]:
    """Chat messages as `qwen_vl_utils.process_vision_info` takes them; images are file URLs."""

    def part(given: Message) -> Message:
        return {**given, "image": f"file://{given['image']}"} if given["type"] == "image" else given

    turns = prompt.messages(request)
    return [{"role": turn["role"], "content": [part(one) for one in turn["content"]]} for turn in turns]


FORMATS: Mapping[str, Callable[[Prompt, Request], list[Message]]] = {
    "openai": openai_messages,
    "transformers": transformers_messages,
    "qwen": qwen_messages,
}
"""What `Selection.to` can give."""


def _url(example: Example, place: int, name: Id, images: Images) -> str:
    """How the image at a place of an example, which is called `name`, is named."""
    image = example.images[place]
    if callable(images):
        return images(replace(example, images=(image,)))
    if images == "data_url":
        return data_url(image)
    if images == "path":
        return image.absolute().as_uri()
    if images == "id":
        return str(name) if len(example.images) == 1 else f"{name}/{place}"
    raise InputError(f"images are given as data_url, path, id or by a function, not as {images!r}")
