"""What checks of the predecessor's files are given, and what they give back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shotsmith.records import Example

EXAMPLES = 3
"""So many examples of a fault are told."""
ENOUGH = 10
"""From so many sequences on, a pattern that all of them show is no chance (2 ** -10 for an order of two)."""
POOL = 64
"""Candidates in a pool of the predecessor."""


@dataclass(frozen=True, slots=True)
class Known:
    """What other files say."""

    examples: tuple[Example, ...] = ()
    """The train split by idx; empty where no questions were given."""
    rows: int | None = None
    """Examples that can be pointed at; None where no file says it."""
    largest: int = -1
    """The largest idx in any of the files."""


@dataclass(frozen=True, slots=True)
class Spotted:
    """A fault in one file."""

    key: str
    """A key of `audit.MEANINGS`."""
    count: int
    of: int
    """Among how many."""
    examples: tuple[str, ...]


def spotted(key: str, places: Iterable[str], of: int) -> Iterator[Spotted]:
    """The fault, with the first of its places; nothing where there is none."""
    found = list(places)
    if found:
        yield Spotted(key, len(found), of, tuple(found[:EXAMPLES]))
