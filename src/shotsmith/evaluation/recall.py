"""Where the points are lost: does a selector's shortlist hold a sequence that would have been right?

A selector first retrieves a shortlist and then chooses from it. Of all sequences whose answers are known (those that
any selector showed and those that the oracle tried), the best one of a query says what could be won; the best one made
of entries of the shortlist alone says what retrieval leaves to win. So, in points of accuracy,

    oracle - within = missed by retrieval        within - accuracy = missed by choice

The oracle tries the entries most similar to the query, so that for other shortlists `within` is a lower bound.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as ManyOf
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from shotsmith.evaluation.results import Result
from shotsmith.selectors.oracle import OracleResult
from shotsmith.selectors.protocol import Tasks

Known = Mapping[tuple[int, int], ManyOf[tuple[frozenset[int], float]]]
"""(query id, number of shots) -> the ids of demonstrations shown, and how good the answer was (0 to 1)."""


@dataclass(frozen=True, slots=True)
class Shortlist:
    """What one selector can choose from."""

    selector: str
    seed: int | None
    entries: Mapping[int, frozenset[int]]
    """Query id -> ids of examples."""


def shortlist(tasks: Tasks, selector: str, seed: int | None, positions: ManyOf[ManyOf[int]]) -> Shortlist:
    """The shortlist of `positions`, one list per query of the tasks."""
    entries = {
        query.id: frozenset(one.id for one in tasks.demonstrations(row, tuple(positions[row])))
        for row, query in enumerate(tasks.queries)
    }
    return Shortlist(selector, seed, entries)


def known(tasks: Tasks, results: Iterable[Result], found: Iterable[OracleResult]) -> Known:
    """Every sequence whose answer is known: what selectors showed, and what the oracle tried."""
    there: defaultdict[tuple[int, int], list[tuple[frozenset[int], float]]] = defaultdict(list)
    for result in results:
        score = result.value(tasks.measure.name)
        if score is not None:
            there[result.query_id, result.shots].append((frozenset(result.sequence), score))
    for one in found:
        query = tasks.queries[one.query].id
        for trial in one.trials:
            shown = frozenset(example.id for example in tasks.demonstrations(one.query, trial.sequence))
            there[query, one.shots].append((shown, trial.accuracy))
    return there


def recall(
    tasks: Tasks, there: Known, results: ManyOf[Result], shortlists: Iterable[Shortlist]
) -> list[dict[str, Any]]:
    """A row for each selector with a shortlist and number of shots (and 'mean' over them), in percent.

    `accuracy`, `within`, `oracle`: what the selector reaches, what its shortlist held, what is known to be possible.
    `retrieval` and `choice`: points missed by each. `right`: the share of queries whose best known answer is as good
    as any can be. `kinds`: the same for each kind of question. Queries with a failed completion are left out.
    """
    kind = {query.id: query.question_type for query in tasks.queries}
    ceiling = {query.id: tasks.measure.highest(query.answers) for query in tasks.queries}
    own = {
        (result.selector, result.seed, result.shots, result.query_id): result.value(tasks.measure.name)
        for result in results
        if not result.draw
    }
    shots = sorted({number for _, number in there})
    cells: defaultdict[str, list[_Cell]] = defaultdict(list)
    for some in shortlists:
        for (query, number), sequences in there.items():
            score = own.get((some.selector, some.seed, number, query))
            if score is None:
                continue
            best = max(accuracy for _, accuracy in sequences)
            within = max((accuracy for shown, accuracy in sequences if shown <= some.entries[query]), default=0.0)
            cells[some.selector].append(
                _Cell(query, number, kind[query], best, max(within, score), score, best >= ceiling[query])
            )
    return [
        {"selector": selector, "shots": number, **_row(part), "kinds": _kinds(part)}
        for selector, found in cells.items()
        for number in (*shots, "mean")
        if (part := [cell for cell in found if number in (cell.shots, "mean")])
    ]


@dataclass(frozen=True, slots=True)
class _Cell:
    """One query at one number of shots; accuracies 0 to 1."""

    query: int
    shots: int
    kind: str
    oracle: float
    within: float
    accuracy: float
    right: bool


def _row(cells: ManyOf[_Cell]) -> dict[str, float | int]:
    oracle, within, accuracy = (
        100 * fmean(getattr(cell, name) for cell in cells) for name in ("oracle", "within", "accuracy")
    )
    return {
        "accuracy": accuracy,
        "within": within,
        "oracle": oracle,
        "retrieval": oracle - within,
        "choice": within - accuracy,
        "right": 100 * fmean(cell.right for cell in cells),
        "n": len({cell.query for cell in cells}),
    }


def _kinds(cells: ManyOf[_Cell]) -> dict[str, dict[str, float | int]]:
    by_kind: defaultdict[str, list[_Cell]] = defaultdict(list)
    for cell in cells:
        by_kind[cell.kind].append(cell)
    return {kind: _row(by_kind[kind]) for kind in sorted(by_kind)}
