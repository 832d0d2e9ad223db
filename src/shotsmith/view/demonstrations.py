"""The panel of demonstrations: the bank of a run with what its entries are worth, and one entry opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, HTTPException

from shotsmith.evaluation.results import Result
from shotsmith.records import Example
from shotsmith.runs import SPLITS, Run
from shotsmith.view.opened import run_of
from shotsmith.view.remembered import Remembered, stamps
from shotsmith.worth.asked import AskedPrompt
from shotsmith.worth.bank import BankWorth, bank_worth
from shotsmith.worth.layout import layout
from shotsmith.worth.told import LISTS, entry, overview

MOST_SHOWN = 200
"""Prompts of an entry that are listed when it is opened."""
MOST_MAPPED = 4000
"""Queries on the map."""
_OPENED = 2
"""Runs whose banks stay in memory."""


def router(runs: Mapping[str, Run]) -> APIRouter:
    """The routes of the panel. The bank of a run is judged when it is first asked for, and again once files change."""
    routes = APIRouter(prefix="/api/runs/{name}/demonstrations")
    kept = Remembered()
    recent: list[str] = []

    def worth_of(name: str) -> BankWorth:
        run = run_of(runs, name)
        if name in recent:
            recent.remove(name)
        recent.append(name)
        for other in recent[:-_OPENED]:
            for part in ("worth", "listed"):
                kept.get((other, part), None, lambda: None)
        del recent[:-_OPENED]
        store = run.recipe.store or run.completions
        files = (run.recipe_file, run.stages_file, run.results, run.prompts, store)
        return kept.get((name, "worth"), stamps(files), lambda: bank_worth(run))

    @routes.get("")
    def demonstrations(name: str) -> dict[str, Any]:
        """List the bank: columns, the lists of what to do, groups, regions and the map."""
        worth = worth_of(name)
        return kept.get((name, "listed"), id(worth), lambda: listed(worth))

    @routes.get("/{number}")
    def demonstration(name: str, number: int) -> dict[str, Any]:
        """Open one entry by its id: who is shown it, with what result, and what resembles it."""
        worth = worth_of(name)
        if number not in worth.asked.row_of:
            raise HTTPException(404, "the bank has no such entry")
        return opened(worth, worth.asked.row_of[number])

    return routes


def listed(worth: BankWorth) -> dict[str, Any]:
    """All of the panel but opened entries."""
    return {**overview(worth, 0), "lists": _lists(worth), "columns": columns(worth), "map": mapped(worth)}


def _lists(worth: BankWorth) -> dict[str, list[int]]:
    """Rows of the bank."""
    members = worth.duplicates.members
    lists = {name: list(getattr(worth, name)) for name in LISTS}
    return lists | {"contradictory": [row for first in worth.contradictory for row in members[first]]}


class _Texts:
    """Texts by number, each once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def numbers(self, texts: Sequence[str]) -> list[int]:
        return [self._numbers.setdefault(text, len(self._numbers)) for text in texts]

    @property
    def all(self) -> list[str]:
        return list(self._numbers)


def columns(worth: BankWorth) -> dict[str, Any]:
    """The bank by columns; texts are numbers into `texts`."""
    bank, texts = worth.asked.bank, _Texts()
    values = [worth.values.get(row) for row in range(len(bank))]
    labels = worth.labels
    told: dict[str, Any] = {
        "id": [example.id for example in bank],
        "pictures": [len(example.images) for example in bank],
        "question": texts.numbers([example.question for example in bank]),
        "answer": texts.numbers([example.answer for example in bank]),
        "kind": texts.numbers([example.question_type for example in bank]),
        "suggested": None if labels is None else texts.numbers(labels.suggested),
        "wrong": None if labels is None else [round(float(one), 3) for one in labels.wrong],
        "train": [shown.train for shown in worth.shown],
        "val": [shown.val for shown in worth.shown],
        "test": [shown.test for shown in worth.shown],
    }
    for field in ("value", "low", "high", "adjusted"):
        told[field] = [_rounded(None if value is None else getattr(value, field)) for value in values]
    return {**told, "texts": texts.all}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def mapped(worth: BankWorth) -> dict[str, Any] | None:
    """Places of entries and queries on a plane, -1 to 1, with the score of each query; None without embeddings."""
    asked = worth.asked
    scores = asked.query_scores(worth.trained)
    bank = asked.embedded.get("bank")
    queries: list[tuple[str, Example]] = []
    parts = []
    for split in reversed(SPLITS):  # of too many, training queries are left out first
        rows = [row for row, one in enumerate(asked.splits.named()[split]) if one.id in scores]
        rows = rows[: MOST_MAPPED - len(queries)]
        if split in asked.embedded and rows:
            queries += [(split, asked.splits.named()[split][row]) for row in rows]
            parts.append(asked.embedded[split].rows(np.array(rows, dtype=np.int64)))
    if bank is None:
        return None
    places = layout([bank, *parts])
    others = np.concatenate([np.zeros((0, 2)), *places[1:]])
    texts = _Texts()
    return {
        "entries": _flat(places[0]),
        "queries": {
            "id": [query.id for _, query in queries],
            "split": [split for split, _ in queries],
            "question": texts.numbers([query.question for _, query in queries]),
            "answer": texts.numbers([query.answer for _, query in queries]),
            "score": [round(worth.asked.scale * scores[query.id], 1) for _, query in queries],
            "place": _flat(others),
            "texts": texts.all,
        },
    }


def _flat(places: npt.NDArray[np.float64]) -> list[float]:
    """x and y of each point in turn."""
    found: list[float] = np.round(places, 3).reshape(-1).tolist()
    return found


def opened(worth: BankWorth, row: int) -> dict[str, Any]:
    """One entry with its near-duplicates, and what it was shown to."""
    asked = worth.asked
    example = asked.bank[row]
    prompts = list(asked.prompts_by_row.get(row, ()))
    prompts.sort(key=lambda prompt: (prompt.split != "val", prompt.query, len(prompt.shown)))
    results = list(asked.results_by_row.get(row, ()))
    results.sort(key=lambda result: (result.selector != worth.trained, result.selector, result.query_id, result.shots))
    return {
        **entry(worth, row),
        "pictures": len(example.images),
        "answers": list(example.answers),
        "scale": asked.scale,
        "trained": worth.trained,
        "labels_judged": worth.labels is not None,
        "near": [entry(worth, other) for other in worth.duplicates.of(row)],
        "shown_to": [*(_of_prompt(worth, row, one) for one in prompts), *(_of_result(worth, one) for one in results)][
            :MOST_SHOWN
        ],
        "shown_to_all": len(prompts) + len(results),
    }


def _of_prompt(worth: BankWorth, row: int, prompt: AskedPrompt) -> dict[str, Any]:
    query = worth.asked.query_of[prompt.query][1]
    told = {"split": prompt.split, "selector": None, "shots": len(prompt.shown), "text": prompt.text}
    place = len(prompt.shown) - max(at for at, one in enumerate(prompt.shown) if one == row)
    return {**_of_query(query), **told, "place": place, "score": worth.asked.scale * prompt.score}


def _of_result(worth: BankWorth, result: Result) -> dict[str, Any]:
    query = worth.asked.query_of[result.query_id][1]
    score = result.value(worth.asked.metric)
    told = {"split": "test", "selector": result.selector, "shots": result.shots, "text": result.text, "place": None}
    return {**_of_query(query), **told, "score": None if score is None else worth.asked.scale * score}


def _of_query(query: Example) -> dict[str, Any]:
    return {"query": query.id, "question": query.question, "answer": query.answer, "pictures": len(query.images)}
