"""A store that has lost completions that a run rests on is noticed: some would be asked for again, in other batches."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from shotsmith import experiment
from shotsmith.errors import InputError, StoreError
from shotsmith.experiment.paid import PAID_FILE, check_paid, note_paid
from shotsmith.progress import Silent
from shotsmith.runs import Run, show


@pytest.fixture
def copy(finished: Run, tmp_path: Path) -> Run:
    return Run.open(Path(shutil.copytree(finished.folder, tmp_path / "copy")))


def test_a_run_notes_every_call_that_it_rests_on(finished: Run) -> None:
    noted = json.loads((finished.folder / PAID_FILE).read_text())
    assert noted == {"calls": sum(stage["vlm_calls"] for stage in show(finished)["stages"])}


def test_a_store_that_has_lost_some_is_named_with_both_ways_on(copy: Run) -> None:
    with closing(sqlite3.connect(copy.completions)) as connection, connection:
        connection.execute("UPDATE calls SET count = count - 1 WHERE origin LIKE 'seed-%'")
    with pytest.raises(StoreError, match=r"completions\.sqlite.*lost.*--fresh.*paid\.json"):
        experiment.stage(copy, "evaluate", Silent())


@pytest.mark.parametrize("left", ["empty", "absent"])
def test_a_store_that_is_empty_or_gone_is_noticed_until_the_user_says_go_on(copy: Run, left: str) -> None:
    copy.completions.unlink()
    if left == "empty":
        copy.completions.touch()
    with pytest.raises(StoreError, match="lost"):
        experiment.stage(copy, "evaluate", Silent())
    (copy.folder / PAID_FILE).unlink()
    experiment.stage(copy, "evaluate", Silent())
    assert json.loads((copy.folder / PAID_FILE).read_text())["calls"] > 0


def test_more_calls_than_noted_are_no_loss_and_a_damaged_note_is_an_error(tmp_path: Path) -> None:
    note_paid(tmp_path, 5)
    check_paid(tmp_path, tmp_path / "store", 5)
    check_paid(tmp_path, tmp_path / "store", 6)
    with pytest.raises(StoreError):
        check_paid(tmp_path, tmp_path / "store", 4)
    for damaged in ("", "{}", "[]", '{"calls": "5"}'):
        (tmp_path / PAID_FILE).write_text(damaged)
        with pytest.raises(InputError, match=r"paid\.json"):
            check_paid(tmp_path, tmp_path / "store", 6)
