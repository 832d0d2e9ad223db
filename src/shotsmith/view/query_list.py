"""The list of test queries as compact columns: the queries once, and the answers at one number of shots.

Sizes, for 5,000 queries and 12 selectors: about 1 MB for the queries and 1 MB for each number of shots. Texts are cut
at `LONGEST` characters, and a text that occurs often is sent once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from statistics import fmean
from typing import Any

from shotsmith.errors import InputError
from shotsmith.evaluation.results import Result
from shotsmith.metrics.table import METRICS
from shotsmith.reports.language import LANGUAGES
from shotsmith.view.run_data import RunData

LONGEST = 400
"""Characters of a text in the list; the opened query has all of it."""
ANSWERS = 10
"""Different human answers of a query in the list, the most common first."""
NONE = -1
"""Stands in a column where a completion failed, or a selector was not asked."""


class Texts:
    """Different texts, each once, cut at `LONGEST` characters."""

    def __init__(self) -> None:
        self.listed: list[str] = []
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        """Where the text is listed."""
        short = text[:LONGEST]
        if short not in self._places:
            self._places[short] = len(self.listed)
            self.listed.append(short)
        return self._places[short]


def listing(data: RunData) -> dict[str, Any]:
    """The queries that were evaluated, in the order of the data, and what they were evaluated with.

    Columns have one value a query: `id`; `question` and `answers`, places in `texts`, the most common answer first;
    `kind`, a place in `kinds`; `images`, how many. `default` names the pair of selectors and the number of shots that
    the report compares. A run without an evaluation has no queries; `missing` then says why.
    """
    if not data.run.results.exists():
        return {"missing": "not_evaluated", "id": []}
    shown = [query for query in data.queries if query.id in data.tries]
    texts, kinds = Texts(), list(dict.fromkeys(query.question_type for query in shown))
    places = {kind: place for place, kind in enumerate(kinds)}
    metric = METRICS[data.metric]
    return {
        "metric": {"name": data.metric, "scale": metric.scale, "percent": metric.unit == "percent"}
        | {code: language.name(data.metric) for code, language in LANGUAGES.items()},
        "selectors": [
            {"name": name} | {code: language.name(name) for code, language in LANGUAGES.items()}
            for name in data.selectors
        ],
        "shots": list(data.shots),
        "default": default_view(data),
        "kinds": kinds,
        "id": [query.id for query in shown],
        "kind": [places[query.question_type] for query in shown],
        "images": [len(query.images) for query in shown],
        "question": [texts.place(query.question) for query in shown],
        "answers": [
            [texts.place(answer) for answer, _ in Counter(query.answers).most_common(ANSWERS)] for query in shown
        ],
        "texts": texts.listed,
    }


def answered(data: RunData, shots: int) -> dict[str, Any]:
    """What every selector reached at one number of shots.

    By selector, one value a query in the order of `listing`: `value`, a place in `values` (figures of the leading
    metric), and `text`, a place in `texts`; NONE where there is none. Of several seeds and draws it is the first, as
    in the report's gallery. Raises InputError where nothing was evaluated at this number of shots.
    """
    if shots not in data.shots:
        raise InputError(f"nothing was evaluated with {shots} shots; there are {', '.join(map(str, data.shots))}")
    places = {query.id: place for place, query in enumerate(query for query in data.queries if query.id in data.tries)}
    texts = Texts()
    values: dict[float, int] = {}
    columns = {name: {"value": [NONE] * len(places), "text": [NONE] * len(places)} for name in data.selectors}
    for result in first_tries(data, shots):
        place = places.get(result.query_id)
        figure = result.value(data.metric)
        if place is None or result.text is None or figure is None:
            continue
        columns[result.selector]["value"][place] = values.setdefault(figure, len(values))
        columns[result.selector]["text"][place] = texts.place(result.text)
    return {"shots": shots, "values": list(values), "texts": texts.listed, "selectors": columns}


def first_tries(data: RunData, shots: int) -> Iterable[Result]:
    """One result for each query and selector: that of the lowest seed and draw which has an answer."""
    found: dict[tuple[int, str], Result] = {}
    for result in data.results:
        if result.shots == shots and result.text is not None and result.value(data.metric) is not None:
            known = found.get((result.query_id, result.selector))
            if known is None or _order(result) < _order(known):
                found[result.query_id, result.selector] = result
    return found.values()


def default_view(data: RunData) -> dict[str, Any]:
    """The pair of selectors and the number of shots that the report's gallery shows."""
    before = data.best_free or ("zero_shot" if "zero_shot" in data.selectors else data.selectors[0])
    after = data.trained or data.selectors[-1]
    sums: dict[int, list[float]] = {}
    for result in data.results:
        figure = result.value(data.metric)
        if result.selector == after and result.text is not None and figure is not None:
            sums.setdefault(result.shots, []).append(figure)
    means = {shots: fmean(figures) for shots, figures in sums.items()}
    shots = max(means, key=lambda number: (means[number], -number)) if means else data.shots[-1]
    return {"a": before, "b": after, "shots": shots}


def _order(result: Result) -> tuple[int, int]:
    return result.seed or 0, result.draw
