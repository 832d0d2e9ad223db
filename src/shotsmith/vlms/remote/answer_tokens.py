"""Which of a prompt's last tokens are a given answer, and their log-probability.

They are what prompt + answer has beyond the prompt alone. Token ids tell, else the number of tokens; a server that
tells neither is taken at the texts of its tokens, where these leave one reading.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shotsmith.vlms.remote.retry import BrokenAnswer

_TAIL = 8
"""Tokens of the prompt that must be the same for an answer to have the same tokens after it."""
_TINY = 1e-6
"""How much a rounded log-probability may be above 0."""
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "\u2581"
"""What SentencePiece writes for a space."""
_REPLACEMENT = "\ufffd"
"""What stands for a part of a character."""
_UNKNOWN = rb"[\x80-\xff]{1,4}"
_MOST_BYTES = 4
"""Of one character in UTF-8."""
_LONGEST_LEAD = 16
"""Characters that a token may have beyond the answer: spaces before it, or a byte written out."""

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a prompt: its id and text where the server tells them, and its natural log-probability."""

    id: int | None
    text: str | None
    log_prob: float


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """The tokens of an answer, learned from one prompt; they are the same after each prompt that ends alike."""

    tail: Ids
    ids: Ids

    def ends(self, ids: Ids) -> bool:
        """Whether a prompt with the answer ends with these tokens."""
        return ids[-len(self.tail + self.ids) :] == self.tail + self.ids


def read_tokens(value: Any) -> tuple[Token | None, ...] | None:
    """vLLM's `prompt_logprobs`: for each token a mapping from its id, None for the first; None where there are none.

    Raises BrokenAnswer for anything else.
    """
    if value is None:
        return None
    if not isinstance(value, list):
        raise BrokenAnswer("the log-probabilities in the server's reply are no list")
    return tuple(None if told is None else _token(told) for told in value)


def learn(prompt: Ids, extended: Ids) -> KnownAnswer | None:
    """The answer's tokens from the ids of the prompt and of prompt + answer.

    None where the tokenizer merges across the border, or nothing is added.
    """
    added = extended[len(prompt) :]
    return KnownAnswer(prompt[-_TAIL:], added) if added and extended[: len(prompt)] == prompt else None


def log_prob_of_last(tokens: Sequence[Token | None], count: int, ids: Ids | None = None) -> float:
    """The sum over the last `count` tokens, which have the ids `ids` where these are known. Raises BrokenAnswer."""
    last = tokens[-count:] if 0 < count <= len(tokens) else ()
    if not last or None in last:
        raise BrokenAnswer("the server's reply has no log-probabilities of the answer's tokens")
    if ids is not None and any(token is not None and token.id != one for token, one in zip(last, ids, strict=True)):
        raise BrokenAnswer("the log-probabilities in the server's reply are of other tokens than the answer's")
    return math.fsum(token.log_prob for token in last if token is not None)


def answer_log_prob(tokens: Any, answer: str) -> float:
    """The log-probability of an answer at the end of `prompt_logprobs`, told by the texts of the tokens.

    Raises BrokenAnswer where the answer does not begin at the start of a token.
    """
    read = read_tokens(tokens) or ()
    count = count_by_text(read, answer)
    if count is None:
        raise BrokenAnswer(f"the answer {answer!r} cannot be told from the prompt by its tokens", permanent=True)
    return log_prob_of_last(read, count)


def count_by_text(tokens: Sequence[Token | None], answer: str) -> int | None:
    """How many of the last tokens are the answer, from the start of a token; None where that cannot be told.

    Parts of one character may have no text, a replacement mark, or stand as bytes (<0xE6>); a space between two tokens
    may be lost. A token of spaces before the answer is part of it: it is what the chat template puts there.
    """
    wanted = answer.encode(errors="replace")
    left = {len(wanted)} - {0}
    found: int | None = None
    for count, token in enumerate(reversed(tokens), start=1):
        if token is None or token.text is None or not left:
            break
        left = _left(token.text.replace(_SPACE, " "), wanted, left)
        if 0 in left:
            found = count
            left.discard(0)
    return None if found is None else _with_beginning(tokens, found, answer)


def _left(text: str, wanted: bytes, before: set[int]) -> set[int]:
    """How many bytes of the answer can be left before a token, from what can be left after it."""
    if not text:
        return before
    longest = _MOST_BYTES * len(text)
    if len(text) > len(wanted) + _LONGEST_LEAD:
        return set()
    spelled = _spelled(text)
    left: set[int] = set()
    for end in before:
        starts = [start for start in range(max(0, end - longest), end) if spelled.fullmatch(wanted, start, end)]
        left.update(starts, (start - 1 for start in starts if wanted[:start].endswith(b" ")))
        if text.startswith(" ") and text.strip(" ") and _spelled(text.lstrip(" ")).fullmatch(wanted, 0, end):
            left.add(0)
    return left


def _spelled(text: str) -> re.Pattern[bytes]:
    """What bytes a token's text can stand for."""
    literal = b"".join(
        _UNKNOWN if letter == _REPLACEMENT else re.escape(letter.encode("utf-8", "replace")) for letter in text
    )
    if byte := _BYTE.fullmatch(text):
        literal += b"|" + re.escape(bytes([int(byte[1], 16)]))
    return re.compile(literal, re.DOTALL)


def _with_beginning(tokens: Sequence[Token | None], count: int, answer: str) -> int | None:
    """The number of tokens with those before them that have no text of their own and yet are part of the answer.

    None where there are more tokens without text than the answer's first character can have.
    """
    texts = [None if token is None else token.text for token in tokens]
    parts = len(answer[0].encode(errors="replace"))
    is_spaced = str(texts[-count]).startswith((" ", _SPACE))
    while count < len(texts) and texts[-count - 1] == "":
        parts -= 1
        if not parts:
            return None
        count += 1
    before = texts[-count - 1] if count < len(texts) else None
    return count + (not is_spaced and bool(before) and not str(before).strip(f" {_SPACE}"))


def _token(told: Any) -> Token:
    if not isinstance(told, Mapping) or len(told) != 1:
        raise BrokenAnswer("the log-probabilities in the server's reply are not by token")
    name, entry = next(iter(told.items()))
    value = entry.get("logprob") if isinstance(entry, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BrokenAnswer("a log-probability in the server's reply is no number")
    if not -math.inf < value <= _TINY or abs(value) > 1e300:
        raise BrokenAnswer("a log-probability in the server's reply is none")
    text = entry.get("decoded_token")
    if text is not None and not isinstance(text, str):
        raise BrokenAnswer("a token in the server's reply is no text")
    number = int(name) if name.isascii() and name.isdecimal() and len(name) < 20 else None
    return Token(number, text, float(value))
