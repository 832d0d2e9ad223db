"""Chooses the test queries that the gallery shows, from the evaluation's results."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from shotsmith.evaluation.accuracies import Metric, measured
from shotsmith.evaluation.results import Result
from shotsmith.records import Example
from shotsmith.reports.data import CHANGES, Attempt, Change, Demonstration, Gallery, GalleryRow
from shotsmith.vlms.prompting.budget import shortened

_SHARES: dict[Change, float] = {"fixed": 0.5, "broken": 0.25, "unchanged": 0.25}


def gallery(
    results: Iterable[Result],
    queries: Iterable[Example],
    index: Iterable[Example],
    *,
    before: str,
    after: str = "grpo",
    number: int = 24,
) -> Gallery | None:
    """Queries for the gallery, at the number of shots at which `after` is most accurate; None where it was not tried.

    `queries` and `index` are the examples of the test and train splits. Of several seeds and draws the first is
    shown. Queries with a failed completion are left out.
    """
    results = list(results)
    metric = measured(results)[0]
    rows = [row for row in results if row.text is not None and row.value(metric) is not None]
    shots = _best_shots(rows, after, metric)
    if shots is None:
        return None
    tried = _first_tries(rows, shots)
    shown = {example.id: example for example in index}
    found = []
    for query in queries:
        tries = [tried.get((query.id, name)) for name in (before, after, "zero_shot")]
        first, last, bare = (_attempt(row, shown, metric) for row in tries)
        if first and last:
            found.append(_row(query, first, last, bare))
    counts = Counter(row.change for row in found)
    return Gallery(pick(found, number), shots, {change: counts[change] for change in CHANGES}) if found else None


def pick(rows: Sequence[GalleryRow], number: int) -> tuple[GalleryRow, ...]:
    """At most `number` rows: half fixed, a quarter broken, a quarter unchanged where there are so many.

    Kinds of question take turns, so that none crowds the others out; within a kind the order is kept. The changes are
    mixed, so that the first few rows show all of them.
    """
    piles = {change: _taking_turns([row for row in rows if row.change == change]) for change in CHANGES}
    wanted = {change: min(len(piles[change]), round(number * _SHARES[change])) for change in CHANGES}
    for change in CHANGES:
        spare = min(number, len(rows)) - sum(wanted.values())
        wanted[change] += max(0, min(len(piles[change]) - wanted[change], spare))
    mixed = [
        ((place + 0.5) / wanted[change], order, row)
        for order, change in enumerate(CHANGES)
        for place, row in enumerate(piles[change][: wanted[change]])
    ]
    return tuple(row for _, _, row in sorted(mixed, key=lambda one: one[:2]))


def _taking_turns(rows: Sequence[GalleryRow]) -> list[GalleryRow]:
    seen: dict[str, int] = defaultdict(int)
    turns = []
    for place, row in enumerate(rows):
        turns.append((seen[row.question_type], place))
        seen[row.question_type] += 1
    return [rows[place] for _, place in sorted(turns)]


def _best_shots(results: Iterable[Result], selector: str, metric: Metric) -> int | None:
    accuracies: dict[int, list[float]] = defaultdict(list)
    for result in results:
        if result.selector == selector:
            accuracies[result.shots].append(_figure(result, metric))
    means = {shots: fmean(values) for shots, values in accuracies.items()}
    return max(means, key=lambda shots: (means[shots], -shots)) if means else None


def _figure(result: Result, metric: Metric) -> float:
    value = result.value(metric)
    assert value is not None, "only scored results are shown"
    return value


def _first_tries(results: Iterable[Result], shots: int) -> dict[tuple[int, str], Result]:
    """The result of each query and selector at that number of shots, of the lowest seed and draw."""
    tries: dict[tuple[int, str], Result] = {}
    for result in sorted(results, key=lambda result: (result.seed or 0, result.draw)):
        if result.shots == shots:
            tries.setdefault((result.query_id, result.selector), result)
    return tries


def _attempt(result: Result | None, index: Mapping[int, Example], metric: Metric) -> Attempt | None:
    if result is None or result.text is None:
        return None
    examples = shortened([index[number] for number in result.sequence], result.left_out, result.without_image)
    demonstrations = tuple(Demonstration(example.images, example.question, example.answer) for example in examples)
    return Attempt(result.selector, demonstrations, result.text, _figure(result, metric))


def _row(query: Example, before: Attempt, after: Attempt, zero_shot: Attempt | None) -> GalleryRow:
    return GalleryRow(
        query_id=query.id,
        images=query.images,
        question=query.question,
        question_type=query.question_type,
        answers=query.answers,
        answer=query.answer,
        before=before,
        after=after,
        zero_shot=zero_shot if before.selector != "zero_shot" else None,
    )
