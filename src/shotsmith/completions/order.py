"""The order in which missing prompts are asked: those that begin alike stand together, and else the shortest first.

Neighbours that share their first demonstrations have them computed once by the local VLM, and find them in the prefix
cache of a server. Neighbours of one length need no padding, and few passes: of these the local VLM has more to gain
where only a few prompts begin alike. (A server counts every prompt as 1 long: there the demonstrations alone decide.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from shotsmith.records import Example, Request, images_digest
from shotsmith.vlms.protocol import VLM

Measured = tuple[int, str, Request]
"""A request behind its length in tokens and its key."""

_WORTH = 1 / 16
"""The share of a batch that a beginning must save, computed once, for its prompts to stand together."""

Path = tuple[tuple[str, str, str], ...]
"""What demonstrations show: images (by content), question, answer."""


def in_order(missing: Mapping[str, Request], asked: Mapping[str, Request], vlm: VLM) -> list[Measured]:
    """The missing of the requests (by key) in an order that is fixed by all that are `asked`, answered or not.

    So what is left of an order after a crash is the rest of that order, as long as the same is asked again.
    """
    paths = _paths(asked)
    beginnings = Counter(path[:length] for path in paths.values() for length in range(1, len(path) + 1))
    worth = _WORTH * vlm.batch_tokens
    rows = []
    for key, request in missing.items():
        path, length = paths[key], vlm.length(request)
        rows.append((_shared(path, length, beginnings, worth), length, path, key, request))
    return [(length, key, request) for _, length, _, key, request in sorted(rows, key=lambda row: row[:4])]


def _paths(asked: Mapping[str, Request]) -> dict[str, Path]:
    shown: dict[int, tuple[str, str, str]] = {}  # by identity: one example stands in many prompts
    for request in asked.values():
        for example in request.demonstrations:
            if id(example) not in shown:
                shown[id(example)] = _shown(example)
    return {key: tuple(shown[id(one)] for one in request.demonstrations) for key, request in asked.items()}


def _shown(example: Example) -> tuple[str, str, str]:
    return images_digest(example), example.question, example.answer


def _shared(path: Path, length: int, beginnings: Mapping[Path, int], worth: float) -> Path:
    """The longest beginning of a prompt, demonstration by demonstration, that saves enough of the tokens of all who
    begin so, when a prompt's tokens are spread evenly over its demonstrations and its query."""
    each = length / (len(path) + 1)
    for shown in range(len(path), 0, -1):
        if (beginnings[path[:shown]] - 1) * shown * each >= worth:
            return path[:shown]
    return ()
