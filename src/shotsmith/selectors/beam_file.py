"""Beam data as a JSON file; demonstrations are named by their dataset ids too, so that it cannot fit other pools."""

from __future__ import annotations

from collections.abc import Sequence as ManyOf
from pathlib import Path
from typing import Any

from shotsmith.errors import DataError
from shotsmith.files import read_json, write_json
from shotsmith.records import Sequence
from shotsmith.selectors.beam_search import Beam, BeamResult, Unscored
from shotsmith.selectors.protocol import Tasks


def write_beams(path: Path, results: ManyOf[BeamResult], tasks: Tasks) -> None:
    """Write the results atomically."""
    write_json(path, {"queries": [_result_to_json(result, tasks) for result in results]})


def read_beams(path: Path, tasks: Tasks) -> list[BeamResult]:
    """Read what `write_beams` wrote. Raises DataError (file, row) where it is damaged or belongs to other pools."""
    value = read_json(path)
    if not isinstance(value, dict) or not isinstance(value.get("queries"), list):
        raise DataError("is not beam data", file=path, field="queries")
    rows = {query.id: row for row, query in enumerate(tasks.queries)}
    results = []
    for number, entry in enumerate(value["queries"], start=1):
        try:
            results.append(_result_from_json(entry, rows, tasks))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(f"is not beam data of this run: {error!r}", file=path, row=number) from error
    return results


def _result_to_json(result: BeamResult, tasks: Tasks) -> dict[str, Any]:
    return {
        "query": tasks.queries[result.query].id,
        "steps": [
            [
                {
                    "sequence": beam.sequence,
                    "demonstrations": _ids(tasks, result.query, beam.sequence),
                    "score": beam.score,
                    "gains": beam.gains,
                }
                for beam in step
            ]
            for step in result.steps
        ],
        "failures": [{"sequence": failure.sequence, "reason": failure.reason} for failure in result.failures],
    }


def _result_from_json(entry: dict[str, Any], rows: dict[int, int], tasks: Tasks) -> BeamResult:
    row = rows[entry["query"]]
    return BeamResult(
        query=row,
        steps=tuple(tuple(_beam_from_json(beam, row, tasks) for beam in step) for step in entry["steps"]),
        failures=tuple(
            Unscored(_positions(failure["sequence"]), str(failure["reason"])) for failure in entry["failures"]
        ),
    )


def _beam_from_json(value: dict[str, Any], row: int, tasks: Tasks) -> Beam:
    beam = Beam(_positions(value["sequence"]), float(value["score"]), tuple(float(gain) for gain in value["gains"]))
    if value["demonstrations"] != _ids(tasks, row, beam.sequence):
        raise ValueError(f"the pool of query {tasks.queries[row].id} holds other demonstrations")
    return beam


def _positions(values: list[int]) -> Sequence:
    return tuple(int(value) for value in values)


def _ids(tasks: Tasks, row: int, sequence: Sequence) -> list[int]:
    return [example.id for example in tasks.demonstrations(row, sequence)]
