"""Damage of every kind to a file, drawn from a seed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

from damaged_bytes import blank, cut, flip, repeat

HUGE = ("1e999", "-1e999", "9" * 5000, "9" * 40, "NaN", "Infinity", "-1", "1e308", "0.5", "18446744073709551616")
STRANGE: tuple[Any, ...] = (
    None,
    True,
    "text",
    "",
    -1,
    0.5,
    1e300,
    10**30,
    [],
    {},
    [[]],
    {"a": 1},
    "\ud800",
    [None] * 3,
)


def damaged(data: bytes, seed: int) -> bytes:
    """The file with one fault, or rarely with none."""
    rng = random.Random(seed)
    text = _is_text(data)
    kinds: list[Callable[[bytes, random.Random], bytes]] = [cut, flip, _overwrite, repeat, blank, _begin_otherwise]
    if text:
        kinds += [_not_utf8, _huge, _nested, _without_piece, _other_value, _other_value, _other_value, _nested_value]
    return rng.choice(kinds)(data, rng)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    """A few bytes near the beginning, where sizes and shapes are written."""
    changed = bytearray(data)
    start = rng.randrange(min(len(data), 600))
    changed[start : start + 4] = rng.choice(
        (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00", b"\x00\x00\x00\x10")
    )
    return bytes(changed)


def _begin_otherwise(data: bytes, rng: random.Random) -> bytes:
    return (
        rng.choice((b"PK\x03\x04", b"\x80\x04", b"[", b"{", b"\xef\xbb\xbf", b"\x1f\x8b", b"\x80\x02cposix\nsystem\n"))
        + data
    )


def _not_utf8(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + rng.choice((b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xfe\xff")) + data[place:]


def _huge(data: bytes, rng: random.Random) -> bytes:
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?", data))
    if not numbers:
        return data
    number = rng.choice(numbers)
    return data[: number.start()] + rng.choice(HUGE).encode() + data[number.end() :]


def _nested(data: bytes, rng: random.Random) -> bytes:
    depth = rng.choice((50, 900, 990, 5_000, 200_000))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    place = rng.randrange(len(data))
    return data[:place] + opening * depth + b"1" + closing * depth + data[place:]


def _without_piece(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randrange(1, 100) :]


def _other_value(data: bytes, rng: random.Random) -> bytes:
    """A value of another type somewhere, a key gone, or one more."""
    return _changed(data, rng, lambda holder, key: _change(holder, key, rng))


def _nested_value(data: bytes, rng: random.Random) -> bytes:
    """Valid JSON, nested as deep as a parser just bears, or deeper."""
    depth = rng.choice((20, 300, 900, 960, 985, 3_000))
    marked = _changed(data, rng, lambda holder, key: holder.__setitem__(key, "\u2603"))
    return marked.replace(b'"\\u2603"', b"[" * depth + b"]" * depth)


def _changed(data: bytes, rng: random.Random, change: Callable[[Any, Any], None]) -> bytes:
    try:
        value = json.loads(data)
    except ValueError:
        return _without_piece(data, rng)
    places = list(_places(value))
    holder, key = rng.choice(places)
    change(holder, key)
    return json.dumps(value).encode()


def _change(holder: Any, key: Any, rng: random.Random) -> None:
    kind = rng.randrange(5)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[rng.choice(("", "extra", "-1", "1e3", "007", "\u0663", "9" * 30))] = holder.pop(key)
    else:
        holder[key] = rng.choice(STRANGE)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key), those near the top as likely as all that are deep."""
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else list(range(min(len(value), 12)))
        for key in keys:
            yield value, key
        for key in keys[:12]:
            yield from _places(value[key])
