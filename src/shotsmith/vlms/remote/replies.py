"""What a reply of the chat API says, read field by field: whatever is not as it must be is a BrokenAnswer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shotsmith.files import is_utf8
from shotsmith.vlms.remote.retry import BrokenAnswer

_ENDED = ("stop", "eos_token", "stop_sequence", "end_turn")
_CUT_OFF = ("length", "max_tokens", "model_length")
_ABORTED = ("error", "abort")
"""Of the server's doing: the same prompt may be answered later."""
_DATED = re.compile(r"[-@:](\d{4}|\d{6}|\d{8}|\d{4}-\d{2}-\d{2}|main|latest|[0-9a-f]{40})")
"""What servers add to the name of a model to say which version of it has replied."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that is an answer."""

    text: str | None
    """None where the server gives none; what asks for a text refuses that (`text_of`)."""
    truncated: bool
    """Whether the text was cut off at the most tokens that were asked for."""
    used_up: bool
    """Whether all tokens went to reasoning that is not part of the text."""
    prompt_ids: tuple[int, ...] | None
    """Token ids of the prompt, where the server tells them."""
    prompt_count: int | None
    """Tokens of the prompt, where the server tells."""
    prompt_log_probs: Any
    """`prompt_logprobs` as it came (`answer_tokens.read_tokens`), None where the server gives none."""


def read_reply(value: Any, models: tuple[str, ...]) -> Reply:
    """Read a chat completion of one of the `models`.

    Raises BrokenAnswer for another model's, for one that ended in any way but by itself or at its length, for a
    refusal, and for what lacks a field or has one of the wrong type.
    """
    reply = _mapping(value, "fields")
    if reply.get("error") is not None:
        raise BrokenAnswer("the server replies with an error in place of an answer")
    _check_model(reply.get("model"), models)
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices:
        raise BrokenAnswer("the server's reply has no choices")
    choice = _mapping(choices[0], "choice")
    message = _mapping(choice.get("message"), "message")
    truncated = _check_end(choice, message)
    text = message.get("content")
    if text is not None and not isinstance(text, str):
        raise BrokenAnswer("the text of the server's reply is of the wrong type")
    if text is not None and not is_utf8(text):
        raise BrokenAnswer("the text of the server's reply holds half a character (a lone surrogate)")
    reasoned = bool(message.get("reasoning_content") or message.get("reasoning"))
    usage = reply.get("usage")
    count = _count(usage.get("prompt_tokens")) if isinstance(usage, dict) else None
    ids = _ids(reply.get("prompt_token_ids"))
    if None not in (ids, count) and len(ids or ()) != count:
        raise BrokenAnswer("the server's reply has another number of prompt tokens than of their ids")
    return Reply(
        text,
        truncated,
        truncated and reasoned and not text,
        ids,
        count,
        reply.get("prompt_logprobs"),
    )


def text_of(reply: Reply) -> str:
    """The text. Raises BrokenAnswer where there is none."""
    if reply.used_up:
        problem = "the reply holds reasoning and no answer: raise vlm.max_new_tokens or turn reasoning off"
        raise BrokenAnswer(problem, permanent=True)
    if reply.text is None:
        raise BrokenAnswer("the server's reply holds no text")
    return reply.text


def read_models(value: Any) -> dict[str, Json]:
    """The models that a server lists, by name; what is no model in the list is passed over.

    Raises BrokenAnswer where there is no list.
    """
    listed = _mapping(value, "list of models").get("data")
    if listed is None:
        return {}
    if not isinstance(listed, list):
        raise BrokenAnswer("its list of models cannot be read")
    return {model["id"]: model for model in listed if isinstance(model, dict) and _is_name(model.get("id"))}


def _check_model(told: Any, models: tuple[str, ...]) -> None:
    if not isinstance(told, str):
        raise BrokenAnswer("the server's reply does not say which model it is from")
    if not any(told == name or (told.startswith(name) and _DATED.fullmatch(told[len(name) :])) for name in models):
        shown = told if is_utf8(told) and len(told) <= 200 else "another one"
        problem = f"the reply is from the model {shown}, not from {models[0]} (vlm.server.reply_model)"
        raise BrokenAnswer(problem, permanent=True)


def _check_end(choice: Json, message: Json) -> bool:
    """Whether the answer was cut off. Raises BrokenAnswer where it is none."""
    reason = choice.get("finish_reason")
    if message.get("refusal") not in (None, ""):
        raise BrokenAnswer("the model refuses to answer", permanent=True)
    if choice.get("error") is not None or (isinstance(reason, str) and reason in _ABORTED):
        raise BrokenAnswer("the server gave up on the answer (finish_reason error or abort)")
    if not isinstance(reason, str):
        raise BrokenAnswer("the server's reply does not say how it ended (finish_reason)")
    if reason not in _ENDED + _CUT_OFF:
        shown = reason if re.fullmatch(r"[\w .:/-]{1,60}", reason, re.ASCII) else "unknown"
        raise BrokenAnswer(f"the answer was withheld (finish_reason {shown})", permanent=True)
    return reason in _CUT_OFF


def _mapping(value: Any, what: str) -> Json:
    if not isinstance(value, dict):
        raise BrokenAnswer(f"the server's reply has no {what}")
    return value


def _ids(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(map(_is_id, value)):
        raise BrokenAnswer("the token ids in the server's reply are none")
    return tuple(value)


def _count(value: Any) -> int | None:
    return value if _is_id(value) else None


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and is_utf8(value)


def described(model: Json) -> Iterator[tuple[str, str]]:
    """What a server says of a model that tells its weights from others."""
    for part in ("root", "revision"):
        value = model.get(part)
        if isinstance(value, str) and value and is_utf8(value):
            yield part, value
