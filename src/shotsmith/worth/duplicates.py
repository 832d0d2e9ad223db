"""Near-duplicates of a bank: entries with the same question and nearly the same picture.

Such entries crowd out others in a prompt, and where their answers differ, one of them is wrong or the question is open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotsmith.embeddings.embedded import Embedded
from shotsmith.metrics.vqa import normalise
from shotsmith.records import Example

Rows = npt.NDArray[np.int64]

SIMILAR = 0.97
"""Cosine of two image embeddings from which on two pictures are nearly the same."""
_BLOCK = 2048


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Near-duplicates of a bank of N entries."""

    groups: Rows
    """[N]: the lowest row of the near-duplicates of each entry, its own where it has none."""
    members: dict[int, tuple[int, ...]]
    """The rows of each group of two and more, by its lowest row."""

    def of(self, row: int) -> tuple[int, ...]:
        """The other near-duplicates of an entry."""
        return tuple(one for one in self.members.get(int(self.groups[row]), ()) if one != row)

    def contradictory(self, bank: Sequence[Example]) -> list[int]:
        """The groups whose entries give different answers, by lowest row."""
        return [first for first, rows in self.members.items() if len({normalise(bank[row].answer) for row in rows}) > 1]


def near_duplicates(bank: Sequence[Example], embedded: Embedded | None, *, similar: float = SIMILAR) -> Duplicates:
    """Group entries with the same question whose pictures are the same files or have a cosine of at least `similar`.

    Groups are joined through shared members. Without embeddings only the same files count; without pictures, the same
    text alone makes a near-duplicate.
    """
    leads = list(range(len(bank)))

    def lead(row: int) -> int:
        while leads[row] != row:
            leads[row] = row = leads[leads[row]]
        return row

    def join(rows: Sequence[int]) -> None:
        first = min(lead(row) for row in rows)
        for row in rows:
            leads[lead(row)] = first

    by_question: dict[str, list[int]] = defaultdict(list)
    for row, example in enumerate(bank):
        by_question[" ".join(example.question.lower().split())].append(row)
    for rows in by_question.values():
        by_images: dict[object, list[int]] = defaultdict(list)
        for row in rows:
            by_images[bank[row].images].append(row)
        for same in by_images.values():
            join(same)
        if embedded is not None and embedded.has_images and len(rows) > 1:
            _join_similar(np.array(rows), embedded, similar, join)
    groups = np.array([lead(row) for row in range(len(bank))], dtype=np.int64)
    members: dict[int, list[int]] = defaultdict(list)
    for row, first in enumerate(groups.tolist()):
        members[first].append(row)
    return Duplicates(groups, {first: tuple(rows) for first, rows in members.items() if len(rows) > 1})


def _join_similar(rows: Rows, embedded: Embedded, similar: float, join: Callable[[Sequence[int]], None]) -> None:
    """Join the pairs of rows whose images have a cosine of at least `similar`."""
    images = embedded.images[rows]
    for start in range(0, len(rows), _BLOCK):
        cosines = images[start : start + _BLOCK] @ images[start:].T
        one, other = np.nonzero(cosines >= similar)
        for first, second in zip(one[one < other].tolist(), other[one < other].tolist(), strict=True):
            join((int(rows[start + first]), int(rows[start + second])))
