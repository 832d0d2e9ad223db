"""One test query as it is opened: its answers, and what every selector showed and reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from shotsmith.evaluation.results import Result
from shotsmith.records import Example
from shotsmith.view.run_data import RunData


def opened(data: RunData, query: int) -> dict[str, Any]:
    """A test query by its id: every result of it, and the entries of the bank that these show.

    Raises InputError where no test query has this id.
    """
    example = data.queries[data.number_of(query)]
    tries = data.tries.get(query, ())
    shown = dict.fromkeys(number for result in tries for number in result.sequence)
    return {
        "id": example.id,
        "question": example.question,
        "kind": example.question_type,
        "images": len(example.images),
        "answers": [[answer, count] for answer, count in Counter(example.answers).most_common()],
        "options": list(example.options),
        "tries": [_try(result, data.metric) for result in tries],
        "examples": entries(data, shown),
    }


def entries(data: RunData, numbers: Iterable[int]) -> Mapping[str, Any]:
    """Entries of the bank by id, as a prompt shows them; null for one that the data do not hold any more."""
    return {str(number): _entry(data, number) for number in numbers}


def entry(example: Example) -> dict[str, Any]:
    """An entry of the bank: question, the answer that a prompt shows, and how many pictures it has."""
    return {"question": example.question, "answer": example.answer, "images": len(example.images)}


def _entry(data: RunData, number: int) -> dict[str, Any] | None:
    row = data.bank_rows.get(number)
    return None if row is None else entry(data.splits.bank[row])


def _try(result: Result, metric: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "selector": result.selector,
        "seed": result.seed,
        "shots": result.shots,
        "draw": result.draw,
        "sequence": list(result.sequence),
        "text": result.text,
        "value": result.value(metric),
    }
    others = {"failure": result.failure, "left_out": result.left_out, "without_image": result.without_image}
    return told | {name: value for name, value in others.items() if value}
