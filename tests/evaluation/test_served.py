"""A server's log, read as selections of a few queries without images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_tasks import make_tasks

from shotsmith.errors import DataError
from shotsmith.evaluation.selections import content_hash, selection_rows, write_rows
from shotsmith.evaluation.served import is_log, query_digest, read_served, told
from shotsmith.selectors.protocol import Tasks

Row = dict[str, Any]


@pytest.fixture
def tasks() -> Tasks:
    """Three queries over a bank of 30, the last two the same; row 7 is barred from the first."""
    made = make_tasks(queries=3)
    queries, bank = (tuple(replace(one, images=()) for one in some) for some in (made.queries, made.index))
    queries = replace(queries[0], question="first?"), *(replace(one, question="twin?") for one in queries[1:])
    nothing = np.empty(0, dtype=np.int64)
    return replace(made, queries=queries, index=bank, pools=None, barred=[np.array([7]), nothing, nothing])


def row(tasks: Tasks, question: str, *shown: int, **fields: Any) -> Row:
    chosen = [tasks.index[one] for one in shown]
    told = {"query": query_digest(question, []), "question": question, "shots": len(shown)}
    return {**told, "ids": [one.id for one in chosen], "hashes": [content_hash(one) for one in chosen], **fields}


def write(file: Path, *rows: Row) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def counted(rows: int, scored: int, **unused: int) -> dict[str, int]:
    nothing = {"repeated": 0, "other_query": 0, "other_shots": 0, "other_example": 0, "barred": 0}
    return {"rows": rows, "scored": scored, **nothing, **unused}


def test_a_row_is_a_selection_of_every_query_with_its_content(tasks: Tasks, tmp_path: Path) -> None:
    file = write(tmp_path / "log", row(tasks, "first?", 3, 5), row(tasks, "twin?", 7))
    found = read_served(file, tasks, (1, 2))
    assert [(one.query, one.shots, one.sequence) for one in found.selected] == [
        (0, 2, (3, 5)),
        (1, 1, (7,)),
        (2, 1, (7,)),
    ]
    assert found.counts == counted(2, 2)


def test_the_last_row_for_a_query_and_a_number_of_shots_counts(tasks: Tasks, tmp_path: Path) -> None:
    write(tmp_path / "log.2", row(tasks, "first?", 1), row(tasks, "first?", 8, 9))
    write(tmp_path / "log.1", row(tasks, "first?", 2))
    file = write(tmp_path / "log", row(tasks, "first?", 3, shots=1), row(tasks, "first?", 4, 5))
    found = read_served(file, tasks, (1, 2))
    assert {(one.shots, one.sequence) for one in found.selected} == {(1, (3,)), (2, (4, 5))}
    assert found.counts == counted(5, 2, repeated=3)
    write(file, row(tasks, "first?", 3), row(tasks, "first?", 7))
    with pytest.raises(DataError, match="0 of 5 rows are scored, 3 followed by another"):
        read_served(file, tasks, (1,))


def test_what_a_policy_decided_counts_at_the_largest_number(tasks: Tasks, tmp_path: Path) -> None:
    file = write(tmp_path / "log", row(tasks, "first?", 3, shots="auto"), row(tasks, "first?", shots=1))
    found = read_served(file, tasks, (1, 2))
    assert [(one.shots, one.sequence) for one in found.selected] == [(2, (3,)), (1, ())]


def test_rows_that_cannot_be_scored_are_counted_by_reason(tasks: Tasks, tmp_path: Path) -> None:
    rows = [
        row(tasks, "first?", 3),
        row(tasks, "who asks?", 3),
        row(tasks, "First?", 3),
        row(tasks, "first?", 3, 4, 5),
        row(tasks, "first?", 3, shots=8),
        row(tasks, "first?", 3, 4, 5, shots="auto"),
        row(tasks, "twin?", 3, ids=[999]),
        row(tasks, "twin?", 3, 4, ids=["3", "4"]),
    ]
    found = read_served(write(tmp_path / "log", *rows), tasks, (1, 2))
    assert found.counts == counted(8, 1, other_query=2, other_shots=3, other_example=2)
    assert told(found.counts) == (
        "1 of 8 rows are scored, 2 of other queries, 3 with other numbers of shots, "
        "2 with examples that are not in the run's bank"
    )


def test_an_id_with_another_content_than_the_runs_is_not_scored(tasks: Tasks, tmp_path: Path) -> None:
    changed = content_hash(replace(tasks.index[3], answers=("new",)))
    rows = [row(tasks, "first?", 3, hashes=[changed]), row(tasks, "twin?", 4, hashes=[None])]
    found = read_served(write(tmp_path / "log", *rows), tasks, (1,))
    assert found.counts == counted(2, 1, other_example=1)
    assert {one.sequence for one in found.selected} == {(4,)}


def test_what_is_barred_from_a_query_is_not_scored(tasks: Tasks, tmp_path: Path) -> None:
    file = write(tmp_path / "log", row(tasks, "first?", 7), row(tasks, "twin?", 7))
    found = read_served(file, tasks, (1,))
    assert found.counts == counted(2, 1, barred=1) and {one.query for one in found.selected} == {1, 2}


def test_a_log_is_told_from_a_selection_file(tasks: Tasks, tmp_path: Path) -> None:
    assert is_log(write(tmp_path / "log", row(tasks, "first?", 1)))
    write_rows(tmp_path / "file", selection_rows(tasks, [(1,), (2,), (3,)], 1, "mine", None))
    assert not is_log(tmp_path / "file") and not is_log(tmp_path / "none")
    (tmp_path / "empty").touch()
    assert not is_log(tmp_path / "empty")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"ids": 3}, "row 2: are not lists of one length: ids, hashes"),
        ({"hashes": []}, "row 2: are not lists of one length: ids, hashes"),
    ],
)
def test_faulty_rows_are_named(tasks: Tasks, tmp_path: Path, fields: Row, said: str) -> None:
    file = write(tmp_path / "log", row(tasks, "first?", 1), row(tasks, "first?", 1, **fields))
    with pytest.raises(DataError, match=said):
        read_served(file, tasks, (1,))
    write(file, row(tasks, "first?", 1), {"query": "a", "ids": []})
    with pytest.raises(DataError, match="row 2: is no row of a selections log"):
        read_served(file, tasks, (1,))
