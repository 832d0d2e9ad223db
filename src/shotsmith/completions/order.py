"""The order in which missing prompts are asked: those that begin alike stand together, and else the shortest first.

Neighbours that share their first demonstrations have them computed once by the local VLM, and find them in the prefix
cache of a server. Where nothing is shared, neighbours of one length need no padding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from shotsmith.files import file_digest
from shotsmith.records import Example, Request
from shotsmith.vlms.protocol import VLM

Measured = tuple[int, str, Request]
"""A request behind its length in tokens and its key."""

Path = tuple[tuple[str, str, str], ...]
"""What demonstrations show: image (by content), question, answer."""


def in_order(missing: Mapping[str, Request], asked: Mapping[str, Request], vlm: VLM) -> list[Measured]:
    """The missing of the requests (by key) in an order that is fixed by all that are `asked`, answered or not.

    So what is left of an order after a crash is the rest of that order, as long as the same is asked again.
    """
    paths = _paths(asked)
    beginnings = Counter(path[:length] for path in paths.values() for length in range(1, len(path) + 1))
    rows = [
        (_shared(paths[key], beginnings), vlm.length(request), paths[key], key, request)
        for key, request in missing.items()
    ]
    return [(length, key, request) for _, length, _, key, request in sorted(rows, key=lambda row: row[:4])]


def _paths(asked: Mapping[str, Request]) -> dict[str, Path]:
    shown: dict[int, tuple[str, str, str]] = {}  # by identity: one example stands in many prompts
    for request in asked.values():
        for example in request.demonstrations:
            if id(example) not in shown:
                shown[id(example)] = _shown(example)
    return {key: tuple(shown[id(one)] for one in request.demonstrations) for key, request in asked.items()}


def _shown(example: Example) -> tuple[str, str, str]:
    return "" if example.image is None else file_digest(example.image), example.question, example.answer


def _shared(path: Path, beginnings: Mapping[Path, int]) -> Path:
    """The longest beginning of a prompt, demonstration by demonstration, that another one has too."""
    lengths = (length for length in range(len(path), 0, -1) if beginnings[path[:length]] > 1)
    return path[: next(lengths, 0)]
