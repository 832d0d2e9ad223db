"""Text of others, made safe to look at: characters that a terminal or a browser obeys are shown by their codes."""

from __future__ import annotations

import re

_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and line feed: ESC, NUL, BEL, ...
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # those that turn the direction of what follows
    "\u2028\u2029\ufeff\ufff9-\ufffb"  # line ends of their own, and marks without width
    "\ud800-\udfff]"  # halves of surrogate pairs, which no encoding can write
)
_LINE_ENDS = re.compile(r"\s*\n\s*")


def visible(text: str) -> str:
    """The text with every character that is obeyed and not shown as its code, such as \\x1b or \\u202e.

    Line feeds and tabs stay, and so do all letters of all scripts.
    """
    return _OBEYED.sub(lambda found: _code(found.group()), text)


def visible_line(text: str) -> str:
    """The same on one line."""
    return visible(_LINE_ENDS.sub(" ", text.strip("\n")))


def visible_json(text: str) -> str:
    """JSON with these characters as JSON escapes: it means the same."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _code(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
