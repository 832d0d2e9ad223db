"""One sequence for all queries, chosen on validation queries by the VLM: the few-shot prompt one would write by hand.

The search is small and the same every time. For each number of shots it tries a few sequences: a third of them from
the entries of the bank that similarity search retrieves most often, the rest drawn at random. Each is shown to the
first validation queries, and the one with the highest mean accuracy is kept: tries x queries calls per number of shots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as ManyOf
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from shotsmith.embeddings.pools import seeded_generator
from shotsmith.errors import InputError
from shotsmith.records import Completion, Failure, Sequence
from shotsmith.selectors.protocol import Ask, Tasks
from shotsmith.selectors.similar import by_both, nearest

QUERIES = 32
"""Validation queries (the first of them) that each sequence is shown to."""
RETRIEVED = 16
"""Most similar entries per validation query that are counted to find those retrieved most often."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same rows of the bank for every query; made by `choose_fixed`."""

    sequences: Mapping[int, Sequence]
    """Rows of the bank by number of shots."""
    left_out: Mapping[tuple[int, int], Sequence] = field(default_factory=dict)
    """(number of shots, id of a query it was chosen on) -> what would be chosen without that query, so that these
    queries can be evaluated too."""
    spare: Sequence = ()
    """Shown instead of what a query must not be shown."""
    name: str = "fixed"

    def select(self, tasks: Tasks, shots: int) -> list[Sequence]:
        """One sequence per query, rows of the bank. Raises InputError for pools and for other shots than chosen."""
        if tasks.pools is not None:
            raise InputError("one sequence for all queries cannot be taken from pools that differ")
        if shots not in self.sequences:
            raise InputError(f"no fixed sequence of {shots} demonstrations was chosen")
        chosen = []
        for row, query in enumerate(tasks.queries):
            sequence = self.left_out.get((shots, query.id), self.sequences[shots])
            barred = set(tasks.barred_from(row).tolist())
            allowed = [one for one in sequence if one not in barred]
            spare = [one for one in self.spare if one not in barred and one not in allowed]
            chosen.append((*spare[: len(sequence) - len(allowed)], *allowed))
        return chosen


def choose_fixed(
    tasks: Tasks,
    shots: Iterable[int],
    ask: Ask,
    *,
    tries: int,
    queries: int = QUERIES,
    origin: str = "evaluation/fixed",
) -> Fixed:
    """Search the bank of `tasks` (validation queries) for the best of `tries` sequences, on the first `queries`.

    Failed completions are left out of the means. Of equals the one tried first is kept.
    """
    wanted = sorted(set(shots))
    whole = replace(tasks, pools=None)
    retrieved = _most_retrieved(whole)
    rows = range(min(queries, len(tasks.queries)))
    candidates = {number: _candidates(whole, retrieved, number, tries) for number in wanted}
    cells = [(number, sequence, row) for number in wanted for sequence in candidates[number] for row in rows]
    requests = [whole.request(row, sequence) for _, sequence, row in cells]
    scores = iter(
        [_score(whole, row, answer) for (_, _, row), answer in zip(cells, ask(requests, origin), strict=True)]
    )
    sequences: dict[int, Sequence] = {}
    left_out: dict[tuple[int, int], Sequence] = {}
    for number in wanted:
        table = np.array([[next(scores) for _ in rows] for _ in candidates[number]])
        sequences[number] = candidates[number][_best(table)]
        for row in rows:
            without = _best(np.delete(table, row, axis=1))
            left_out[number, whole.queries[row].id] = candidates[number][without]
    return Fixed(sequences, left_out, spare=tuple(retrieved[: 2 * max(wanted)]))


def _most_retrieved(tasks: Tasks) -> list[int]:
    """Rows of the bank by how often they are among the nearest of a query; the lower row first among equals."""
    counts = Counter(row for found in nearest(tasks, by_both, RETRIEVED) for row in found.tolist())
    return sorted(counts, key=lambda row: (-counts[row], row))


def _candidates(tasks: Tasks, retrieved: ManyOf[int], shots: int, tries: int) -> list[Sequence]:
    """Different sequences of `shots` rows: from those retrieved most often, in turn, and at random."""
    often = [tuple(retrieved[start : start + shots]) for start in range(0, shots * max(1, tries // 3), shots)]
    found = dict.fromkeys(sequence for sequence in often if len(sequence) == min(shots, len(tasks.index)))
    for draw in range(tries):
        generator = seeded_generator("fixed", shots, draw)
        size = min(shots, len(tasks.index))
        found.setdefault(tuple(generator.choice(len(tasks.index), size, replace=False).tolist()))
    return list(found)[:tries]


def _score(tasks: Tasks, row: int, answer: Completion | Failure) -> float:
    prediction = tasks.prediction(row, answer)
    return np.nan if prediction is None else tasks.score(row, prediction)


def _best(table: npt.NDArray[np.float64]) -> int:
    """The row [C, Q] with the highest mean over what is not NaN; the first among equals."""
    known = np.isfinite(table)
    means = np.where(known, table, 0).sum(axis=1) / np.maximum(1, known.sum(axis=1))
    return int(np.argmax(means))
