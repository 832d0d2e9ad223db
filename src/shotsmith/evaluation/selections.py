"""Selection files: which demonstrations a selector shows each query, checked by content, for any system to write.

One JSON object a line:

{"query": 17, "query_hash": "...", "shots": 2, "demonstrations": [301, 48], "hashes": ["...", "..."],
 "selector": "grpo", "seed": 0}

`demonstrations` are ids of the bank in the order shown, at most `shots`. `selector` and `seed` may be left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as ManyOf
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shotsmith.errors import DataError, InputError
from shotsmith.evaluation.evaluate import result_of
from shotsmith.evaluation.results import Result
from shotsmith.files import file_digest, replacing
from shotsmith.records import Example, Failure, Sequence
from shotsmith.selectors.protocol import Ask, Tasks

MISSING = "no selection"
"""Failure of a query that a file says nothing about."""


@dataclass(frozen=True, slots=True)
class Selected:
    """The demonstrations that one query is shown."""

    query: int
    """Row of the query among the tasks."""
    shots: int
    sequence: Sequence
    """Rows of the bank."""
    seed: int | None = None


def content_hash(example: Example) -> str:
    """SHA-256 (hex) of the UTF-8 text of [[SHA-256 of each image file], question, [answers], [options]] as JSON.

    The JSON has no spaces between its parts, and escapes no letters.
    """
    images = [file_digest(image) for image in example.images]
    content = [images, example.question, list(example.answers), list(example.options)]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def selection_rows(
    tasks: Tasks, chosen: ManyOf[Sequence], shots: int, selector: str, seed: int | None
) -> Iterator[Mapping[str, Any]]:
    """The lines of a selector's choices [B] at one number of shots."""
    for row, (query, sequence) in enumerate(zip(tasks.queries, chosen, strict=True)):
        shown = tasks.demonstrations(row, sequence)
        yield {
            "query": query.id,
            "query_hash": content_hash(query),
            "shots": shots,
            "demonstrations": [example.id for example in shown],
            "hashes": [content_hash(example) for example in shown],
            "selector": selector,
            "seed": seed,
        }


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write JSON lines atomically; returns how many."""
    count = 0
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_selections(path: Path, tasks: Tasks, shots: Iterable[int]) -> list[Selected]:
    """The selections of a file, for these queries over the whole bank.

    Raises DataError naming file, row and field where a line is malformed, twice there, or names a query or an example
    that is not there or has another content; where it has another number of demonstrations than `shots` has; and where
    a query is shown what is barred from it.
    """
    reader = _Reader(path, tasks, tuple(shots))
    found: dict[tuple[int, int, int | None], Selected] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", file=path) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        one = reader.read(line, number)
        key = one.query, one.shots, one.seed
        if key in found:
            raise DataError("has a selection with so many shots already", file=path, row=number, field="query")
        found[key] = one
    if not found:
        raise DataError("has no selections", file=path)
    return list(found.values())


class _Reader:
    def __init__(self, path: Path, tasks: Tasks, shots: tuple[int, ...]) -> None:
        self._path, self._tasks, self._shots = path, tasks, shots
        self._queries = {query.id: row for row, query in enumerate(tasks.queries)}
        self._bank = {example.id: row for row, example in enumerate(tasks.index)}

    def read(self, line: str, number: int) -> Selected:
        told = self._object(line, number)
        query, shots, seed = (_whole(told.get(name)) for name in ("query", "shots", "seed"))
        if query is None or query not in self._queries:
            raise self._fault(f"is no query that is evaluated: {told['query']!r}", number, "query")
        row = self._queries[query]
        if told["query_hash"] != content_hash(self._tasks.queries[row]):
            raise self._fault(f"is not the content of query {query}", number, "query_hash")
        if shots not in self._shots:
            numbers = ", ".join(map(str, self._shots))
            raise self._fault(f"{told['shots']!r} is none of the numbers evaluated ({numbers})", number, "shots")
        if seed is None and told.get("seed") is not None:
            raise self._fault(f"is no whole number: {told['seed']!r}", number, "seed")
        return Selected(row, shots, self._sequence(told, row, shots, number), seed)

    def _object(self, line: str, number: int) -> Mapping[str, Any]:
        try:
            told = json.loads(line)
        except json.JSONDecodeError as error:
            raise self._fault(f"is not valid JSON: {error.msg}", number) from error
        if not isinstance(told, dict):
            raise self._fault("is not a JSON object", number)
        for name in ("query", "query_hash", "shots", "demonstrations", "hashes"):
            if name not in told:
                raise self._fault("is missing", number, name)
        for name in ("demonstrations", "hashes"):
            if not isinstance(told[name], list):
                raise self._fault("is not a list", number, name)
        return told

    def _sequence(self, told: Mapping[str, Any], row: int, shots: int, number: int) -> Sequence:
        ids, hashes = told["demonstrations"], told["hashes"]
        if len(ids) > shots:
            raise self._fault(f"has {len(ids)} demonstrations, more than {shots}", number, "demonstrations")
        if len(hashes) != len(ids):
            raise self._fault(f"has {len(hashes)} hashes of {len(ids)} demonstrations", number, "hashes")
        barred = set(self._tasks.barred_from(row).tolist())
        sequence = []
        for one, told_hash in zip(ids, hashes, strict=True):
            entry = self._bank.get(one) if _whole(one) is not None else None
            if entry is None:
                raise self._fault(f"the bank has no example {one!r}", number, "demonstrations")
            if told_hash != content_hash(self._tasks.index[entry]):
                raise self._fault(f"is not the content of example {one}", number, "hashes")
            if entry in barred:
                problem = (
                    f"leaks: example {one} is barred from query {self._tasks.queries[row].id}, as it is the query "
                    "itself, shows its image or has the same content"
                )
                raise self._fault(problem, number, "demonstrations")
            sequence.append(entry)
        return tuple(sequence)

    def _fault(self, problem: str, row: int, field: str | None = None) -> DataError:
        return DataError(problem, file=self._path, row=row, field=field)


def evaluate_selections(
    tasks: Tasks, name: str, selected: Iterable[Selected], ask: Ask, *, origin: str = "evaluation"
) -> list[Result]:
    """Results of selections, answered by the same VLM as all others. Sequences hold rows of the whole bank.

    A query without a selection at a number of shots has a result that failed: it is excluded, as one is whose
    completion failed.
    """
    whole = replace(tasks, pools=None)
    by_key = {(one.query, one.shots, one.seed): one.sequence for one in selected}
    asked = list(dict.fromkeys((query, sequence) for (query, _, _), sequence in by_key.items()))
    requests = [whole.request(row, sequence) for row, sequence in asked]
    completions = dict(zip(asked, ask(requests, origin), strict=True))
    results = []
    for shots, seed in sorted({(shots, seed) for _, shots, seed in by_key}, key=lambda cell: (cell[0], cell[1] or 0)):
        for row in range(len(whole.queries)):
            sequence = by_key.get((row, shots, seed))
            completion = Failure(MISSING) if sequence is None else completions[row, sequence]
            results.append(result_of(whole, row, sequence or (), completion, name, shots, seed))
    return results


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
