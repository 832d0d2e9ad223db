"""The selections log of a server (`shotsmith serve --log`), read as selections of the queries that are evaluated.

One JSON object a line, of which these fields are read:

{"query": "...", "question": "...", "shots": 2, "ids": [301, 48], "hashes": ["...", "..."]}

`query` is `query_digest` of the query, `shots` the number asked for ("auto": the policy decided), `ids` what was shown,
and `hashes` the contents of these examples (`content_hash`; null where an image was not on the server's machine).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from shotsmith.errors import DataError, InputError
from shotsmith.evaluation.selections import Selected, content_hash
from shotsmith.files import digest
from shotsmith.records import Example, Sequence
from shotsmith.selectors.protocol import Tasks

Unused = Literal["repeated", "other_query", "other_shots", "other_example", "barred"]
"""Why a row is not scored: a later row has the query at this number of shots; the query is none of those evaluated; the
number of shots is none of those evaluated; the bank has no such example, or another content under its id; an example is
barred from the query."""

_FIELDS = frozenset({"query", "question", "shots", "ids", "hashes"})


@dataclass(frozen=True, slots=True)
class Served:
    """What a log says about the queries that are evaluated."""

    selected: tuple[Selected, ...]
    counts: Mapping[str, int]
    """`rows` of the log, `scored` ones, and rows by each reason of `Unused`."""


def query_digest(question: str, images: Iterable[bytes]) -> str:
    """SHA-256 of question and image contents: the same query has the same digest everywhere."""
    return digest("query-1", question, *images)


def is_log(file: Path) -> bool:
    """Whether a file of JSON lines is a selections log, told by its first row. False where it cannot be read."""
    try:
        with file.open(encoding="utf-8") as lines:
            row = json.loads(next((line for line in lines if line.strip()), ""))
    except (OSError, ValueError):
        return False
    return isinstance(row, dict) and "ids" in row and "demonstrations" not in row


def log_files(file: Path) -> list[Path]:
    """The files of a log, oldest rows first: those that were put aside (`FILE.2`, `FILE.1`) and the file itself."""
    aside: list[Path] = []
    while (older := file.with_name(f"{file.name}.{len(aside) + 1}")).exists():
        aside.append(older)
    return [*reversed(aside), file]


def read_log(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of one file of a log, a line that a kill cut short excepted.

    Raises DataError naming the line of any other fault.
    """
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                if not line.endswith("\n"):
                    return
                raise DataError(f"is not JSON: {error}", file=file, row=number) from error
            if not isinstance(row, dict) or not row.keys() >= _FIELDS:
                raise DataError("is no row of a selections log", file=file, row=number)
            ids, hashes = row["ids"], row["hashes"]
            if not isinstance(ids, list) or not isinstance(hashes, list) or len(ids) != len(hashes):
                raise DataError("are not lists of one length: ids, hashes", file=file, row=number)
            yield row


def read_served(file: Path, tasks: Tasks, shots: Iterable[int]) -> Served:
    """The selections of a log, for these queries over the whole bank; several files of it are read as one.

    Of several rows for a query at one number of shots, the last counts. A number that a policy decided ('auto') is the
    largest of `shots`. Raises DataError naming file and row of a fault, and where no row can be scored.
    """
    reader = _Reader(tasks, tuple(shots))
    rows = [row for one in log_files(file) for row in read_log(one)]
    last = {reader.key(row): row for row in rows}
    counts: Counter[str] = Counter(dict.fromkeys(("rows", "scored", *get_args(Unused)), 0))
    counts.update(rows=len(rows), repeated=len(rows) - len(last))
    selected: list[Selected] = []
    for row in last.values():
        found = reader.read(row)
        if isinstance(found, str):
            counts[found] += 1
        else:
            counts["scored"] += 1
            selected += found
    if not selected:
        raise DataError(f"has no selection that can be scored: {told(counts)}", file=file)
    return Served(tuple(selected), counts)


def told(counts: Mapping[str, int]) -> str:
    """The counts of a log in a sentence's words."""
    words: Mapping[Unused, str] = {
        "repeated": "followed by another for the same query",
        "other_query": "of other queries",
        "other_shots": "with other numbers of shots",
        "other_example": "with examples that are not in the run's bank",
        "barred": "with examples that are barred from the query",
    }
    unused = [f"{counts[reason]} {said}" for reason, said in words.items() if counts[reason]]
    return ", ".join([f"{counts['scored']} of {counts['rows']} rows are scored", *unused])


class _Reader:
    def __init__(self, tasks: Tasks, shots: tuple[int, ...]) -> None:
        self._tasks, self._shots = tasks, shots
        self._bank = {example.id: row for row, example in enumerate(tasks.index)}
        self._queries: dict[str, list[int]] = {}
        for row, query in enumerate(tasks.queries):
            self._queries.setdefault(_digest_of(query), []).append(row)

    def key(self, row: Mapping[str, Any]) -> tuple[str, str]:
        """Rows with the same key are about the same query at the same number of shots."""
        shots = self._shots_of(row)
        return str(row["query"]), str(row["shots"] if shots is None else shots)

    def _shots_of(self, row: Mapping[str, Any]) -> int | None:
        """The number of shots that a row belongs to; None where it is none of those evaluated."""
        shots = max(self._shots) if row["shots"] == "auto" else row["shots"]
        return shots if isinstance(shots, int) and not isinstance(shots, bool) and shots in self._shots else None

    def read(self, row: Mapping[str, Any]) -> list[Selected] | Unused:
        """The selections of a row, one for each query that it is about, or why there is none."""
        queries, shots = self._queries.get(str(row["query"]), []), self._shots_of(row)
        if not queries:
            return "other_query"
        if shots is None or len(row["ids"]) > shots:
            return "other_shots"
        sequence = self._sequence(row["ids"], row["hashes"])
        if sequence is None:
            return "other_example"
        if any(set(sequence) & set(self._tasks.barred_from(query).tolist()) for query in queries):
            return "barred"
        return [Selected(query, shots, sequence) for query in queries]

    def _sequence(self, ids: list[Any], hashes: list[Any]) -> Sequence | None:
        """Rows of the bank; None where it has not all of these examples with these contents."""
        found = [self._bank.get(one) if isinstance(one, int) and not isinstance(one, bool) else None for one in ids]
        rows = tuple(row for row in found if row is not None)
        known = all(
            content is None or content == content_hash(self._tasks.index[row])
            for row, content in zip(rows, hashes, strict=False)
        )
        return rows if len(rows) == len(found) and known else None


def _digest_of(query: Example) -> str:
    try:
        return query_digest(query.question, [image.read_bytes() for image in query.images])
    except OSError as error:
        raise InputError(f"an image cannot be read: {error.strerror or error}", file=error.filename) from error
