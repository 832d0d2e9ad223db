"""Selection files over a few queries without images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_tasks import ScriptedVLM, make_tasks

from shotsmith.errors import DataError
from shotsmith.evaluation.selections import (
    MISSING,
    content_hash,
    evaluate_selections,
    read_selections,
    selection_rows,
    write_rows,
)
from shotsmith.records import Completion, Failure
from shotsmith.selectors.protocol import Tasks


@pytest.fixture
def tasks() -> Tasks:
    """Three queries over a bank of 30; row 7 is barred from the second."""
    made = make_tasks(queries=3)
    queries, bank = (tuple(replace(one, images=()) for one in some) for some in (made.queries, made.index))
    nothing = np.empty(0, dtype=np.int64)
    return replace(made, queries=queries, index=bank, pools=None, barred=[nothing, np.array([7]), nothing])


def test_a_file_holds_what_was_chosen(tasks: Tasks, tmp_path: Path) -> None:
    chosen = [(7, 2), (), (5,)]
    assert write_rows(tmp_path / "file.jsonl", selection_rows(tasks, chosen, 2, "mine", 4)) == 3
    read = read_selections(tmp_path / "file.jsonl", tasks, (1, 2))
    assert [(one.query, one.shots, one.sequence, one.seed) for one in read] == [
        (row, 2, sequence, 4) for row, sequence in enumerate(chosen)
    ]


def test_a_barred_demonstration_is_a_leak(tasks: Tasks, tmp_path: Path) -> None:
    write_rows(tmp_path / "leaky.jsonl", selection_rows(tasks, [(7,), (7,), (7,)], 1, "mine", None))
    with pytest.raises(DataError, match="row 2, field demonstrations: leaks: example 7 is barred from query 101"):
        read_selections(tmp_path / "leaky.jsonl", tasks, (1,))


def test_failed_and_missing_answers_are_counted_and_never_scored(tasks: Tasks, tmp_path: Path) -> None:
    rows = list(selection_rows(tasks, [(1,), (2,), (3,)], 1, "mine", None))
    write_rows(tmp_path / "file.jsonl", rows[:2])
    vlm = ScriptedVLM(lambda request: Failure("down") if request.query.id == 100 else Completion("it is 101"))
    found = evaluate_selections(tasks, "mine", read_selections(tmp_path / "file.jsonl", tasks, (1,)), vlm.ask)
    assert [(one.text, one.failure, one.vqa_accuracy) for one in found] == [
        (None, "down", None),
        ("it is 101", None, 1.0),
        (None, MISSING, None),
    ]
    assert len(vlm.calls[0]) == 2


def test_the_hash_tells_every_content_apart(tasks: Tasks, tmp_path: Path) -> None:
    one = tasks.index[0]
    (tmp_path / "a.png").write_bytes(b"a")
    others = [
        replace(one, question="what else?"),
        replace(one, answers=one.answers[1:]),
        replace(one, answers=("".join(one.answers),)),
        replace(one, images=(tmp_path / "a.png",)),
        replace(one, options=("yes", "no")),
    ]
    assert len({content_hash(other) for other in (one, *others)}) == 6
    assert content_hash(replace(one, id=5, question_type="other")) == content_hash(one)


def test_lines_that_are_no_objects_are_named(tasks: Tasks, tmp_path: Path) -> None:
    (row,) = selection_rows(replace(tasks, queries=tasks.queries[:1]), [(1,)], 1, "mine", None)
    for text, said in (("{", "row 2: is not valid JSON"), ("3", "row 2: is not a JSON object")):
        (tmp_path / "file.jsonl").write_text(f"{json.dumps(row)}\n{text}\n")
        with pytest.raises(DataError, match=said):
            read_selections(tmp_path / "file.jsonl", tasks, (1,))
