"""Search of a bank by id or by words, for an entry to be shown in the place of another."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from shotsmith.view.query_opened import entry
from shotsmith.view.run_data import RunData

MOST = 24
"""Entries found that are told."""


def found_in_bank(data: RunData, words: str, query: int) -> dict[str, Any]:
    """Entries that hold every one of some words in question or answers, or whose id is the number given.

    What is barred from the query is left out. `found` are the first of them, in the order of the bank; `count` is how
    many there are. Raises InputError where no test query has this id.
    """
    barred = set(data.barred[data.number_of(query)].tolist())
    wanted = words.casefold().split()
    rows = []
    if len(wanted) == 1 and wanted[0].isdecimal() and int(wanted[0]) in data.bank_rows:
        rows.append(data.bank_rows[int(wanted[0])])
    if wanted:
        rows += [row for row, text in enumerate(_texts(data)) if all(word in text for word in wanted)]
    rows = [row for row in dict.fromkeys(rows) if row not in barred]
    found = [{"id": data.splits.bank[row].id} | entry(data.splits.bank[row]) for row in rows[:MOST]]
    return {"count": len(rows), "found": found}


@lru_cache(maxsize=2)
def _texts(data: RunData) -> tuple[str, ...]:
    return tuple(" ".join((one.question, *dict.fromkeys(one.answers))).casefold() for one in data.splits.bank)
