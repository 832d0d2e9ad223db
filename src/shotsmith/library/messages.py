"""A few-shot prompt as messages, in the forms that servers and libraries take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from shotsmith.errors import InputError
from shotsmith.records import Example, Request
from shotsmith.vlms.prompting.data_urls import data_url
from shotsmith.vlms.prompting.prompts import Prompt

Message: TypeAlias = dict[str, Any]
Images: TypeAlias = Literal["data_url", "path", "id"] | Callable[[Example], str]
"""How an image is named in OpenAI's messages: its content as a data URL, a file URL, the example's id (of several
images: id/0, id/1, ...), or whatever a function makes of the example (for images that a server can fetch). The function
is given each of several images in an example of its own."""


def openai_messages(prompt: Prompt, request: Request, images: Images = "data_url") -> list[Message]:
    """Chat messages with content parts of OpenAI's API. Raises DataError naming an image that cannot be sent."""
    shown = iter([(one, place) for one in (*request.demonstrations, request.query) for place in range(len(one.images))])

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


def _url(example: Example, place: int, images: Images) -> str:
    """How the image at a place of an example is named."""
    image = example.images[place]
    if callable(images):
        return images(replace(example, images=(image,)))
    if images == "data_url":
        return data_url(image)
    if images == "path":
        return image.absolute().as_uri()
    if images == "id":
        return str(example.id) if len(example.images) == 1 else f"{example.id}/{place}"
    raise InputError(f"images are given as data_url, path, id or by a function, not as {images!r}")
