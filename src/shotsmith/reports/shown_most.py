"""Which entries of the bank a policy shows most often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from shotsmith.records import Example
from shotsmith.reports.data import Demonstration, ShownMost

MOST = 8
"""Entries that are shown in full."""


def shown_most(chosen: Collection[Sequence[int]], bank: Sequence[Example], selector: str, shots: int) -> ShownMost:
    """The entries shown to the most queries. `chosen` are the sequences, one per query, as dataset ids."""
    counts = Counter(number for sequence in chosen for number in set(sequence))
    by_id = {example.id: example for example in bank}
    most = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST]
    entries = tuple(
        (Demonstration(by_id[number].images, by_id[number].question, by_id[number].answer), count)
        for number, count in most
    )
    return ShownMost(selector, shots, entries, distinct=len(counts), bank=len(bank), queries=len(chosen))
