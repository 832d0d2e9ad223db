"""Chats of OpenAI's API: finding the question in one, and putting demonstrations before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shotsmith.serve.faults import Refused

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """The last user turn of a chat."""

    place: int
    """Which message it is."""
    question: str
    """Its texts, joined by line ends."""
    images: tuple[str, ...]
    """The URLs of its images."""
    parts: tuple[Mapping[str, Any], ...]
    """Its content."""

    @property
    def is_plain(self) -> bool:
        """Whether it is one text with images or without, as the queries of a training are."""
        kinds = [part["type"] for part in self.parts]
        return kinds.count("text") == 1 and set(kinds) <= {"text", "image_url"}

    def with_images(self, urls: Sequence[str]) -> Asked:
        """The same turn with other URLs for its images, in their order."""
        left = iter(urls)
        parts = (
            {**part, "image_url": {**part["image_url"], "url": next(left)}} if part["type"] == "image_url" else part
            for part in self.parts
        )
        return replace(self, images=tuple(urls), parts=tuple(parts))


def messages_of(body: object) -> list[Message]:
    """The messages of a request's body. Raises Refused (400) where it is no chat."""
    if not isinstance(body, dict):
        raise Refused(400, "the body is no JSON object")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "is missing, empty or no list", "messages")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Refused(400, "is no message with a role", f"messages[{number}]")
    return messages


def asked_in(messages: Sequence[Message]) -> Asked | None:
    """What a chat asks; None where it has no user turn, or the last one has no text.

    Raises Refused (400) naming a content part that is none.
    """
    place = next((number for number in reversed(range(len(messages))) if messages[number]["role"] == "user"), None)
    if place is None:
        return None
    content = messages[place].get("content")
    parts = _parts(content, f"messages[{place}].content")
    question = "\n".join(part["text"] for part in parts if part["type"] == "text")
    images = tuple(part["image_url"]["url"] for part in parts if part["type"] == "image_url")
    return Asked(place, question, images, parts) if question.strip() else None


def inserted(messages: Sequence[Message], asked: Asked, prompt: Sequence[Message]) -> list[Message]:
    """The chat with the turns of `prompt` (demonstrations, then the query) in the place of its last user turn.

    A plain turn gets the wording of the query in the prompt. Of any other, its own content follows the
    demonstrations. A system turn of the prompt comes first, where the chat has none.
    """
    system, turns = (
        [one for one in prompt if one["role"] == "system"],
        [one for one in prompt if one["role"] != "system"],
    )
    if not asked.is_plain:
        worded = 1 + len(asked.images)
        turns[-1] = {**turns[-1], "content": [*turns[-1]["content"][:-worded], *asked.parts]}
    turns[-1] = {**messages[asked.place], **turns[-1]}
    if any(message["role"] in ("system", "developer") for message in messages):
        system = []
    return [*system, *messages[: asked.place], *turns, *messages[asked.place + 1 :]]


def _parts(content: object, param: str) -> tuple[dict[str, Any], ...]:
    if isinstance(content, str):
        return ({"type": "text", "text": content},)
    if not isinstance(content, list):
        raise Refused(400, "is neither a text nor a list of parts", param)
    return tuple(_part(part, f"{param}[{number}]") for number, part in enumerate(content))


def _part(part: object, param: str) -> dict[str, Any]:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise Refused(400, "is no content part with a type", param)
    if part["type"] == "text" and not isinstance(part.get("text"), str):
        raise Refused(400, "is no text", f"{param}.text")
    if part["type"] == "image_url":
        image = part.get("image_url")
        if not isinstance(image, dict) or not isinstance(image.get("url"), str):
            raise Refused(400, "is no image with a url", f"{param}.image_url")
    return part
