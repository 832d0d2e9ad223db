"""The selections log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from small_selector import body_of
from starlette.testclient import TestClient

import shotsmith
from shotsmith.errors import DataError, InputError
from shotsmith.evaluation.selections import content_hash
from shotsmith.evaluation.served import log_files, query_digest, read_log
from shotsmith.records import Example
from shotsmith.serve.log import SelectionsLog

Client = Callable[..., TestClient]
World = tuple[list[Example], list[Example]]


def test_every_selection_has_a_row_from_which_it_can_be_repeated(
    client: Client, shared: shotsmith.Selector, world: World, tmp_path: Path
) -> None:
    served, queries = client(log=tmp_path / "logs" / "selections.jsonl"), world[1][:5]
    served.post("/select", json={"queries": [body_of(one) for one in queries[:3]]})
    served.post("/select", json=body_of(queries[3]))
    served.post("/select", json={"question": queries[4].question, "shots": 2})
    rows = list(read_log(tmp_path / "logs" / "selections.jsonl"))
    assert len(rows) == 5
    for row, query in zip(rows, queries, strict=True):
        image = query.image.read_bytes() if query.image is not None and len(row["ids"]) == 4 else None
        assert row["query"] == query_digest(query.question, [image] if image else [])
        chosen = shared.select(question=query.question, image=query.image if image else None, shots=len(row["ids"]))
        assert row["ids"] == list(chosen.ids) and row["question"] == query.question
        shown = [shared.bank.examples[shared.bank.row(one)] for one in row["ids"]]
        assert shown == list(chosen.examples)
        assert row["hashes"] == [content_hash(example) for example in shown] and row["shots"] == len(shown)
        assert row["chosen_by"] == "mixed" and row["unfamiliar"] is False and row["milliseconds"] > 0
        assert row["time"].endswith("+00:00") and len(row["scores"]) == len(row["ids"])


def test_the_log_holds_no_image(client: Client, query: dict[str, str], tmp_path: Path) -> None:
    client(log=tmp_path / "log").post("/select", json=query)
    assert query["image"][40:80] not in (tmp_path / "log").read_text()


def test_a_full_log_is_put_aside_and_the_oldest_deleted(tmp_path: Path) -> None:
    log = SelectionsLog(tmp_path / "log", 100, 2)
    for number in range(20):
        log.write([{"query": str(number), "question": "q" * 20, "shots": 0, "ids": [], "hashes": []}])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    rows = [row["query"] for file in log_files(tmp_path / "log") for row in read_log(file)]
    assert rows == [str(number) for number in range(20 - len(rows), 20)]


def test_without_files_to_keep_a_full_log_is_deleted(tmp_path: Path) -> None:
    log = SelectionsLog(tmp_path / "log", 60, 0)
    for number in range(5):
        log.write([{"query": str(number), "question": "q" * 20, "shots": 0, "ids": [], "hashes": []}])
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert [row["query"] for row in read_log(tmp_path / "log")] == ["4"]


def test_what_a_kill_left_of_a_line_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "log"
    row = {"query": "a", "question": "q", "shots": 0, "ids": [], "hashes": []}
    file.write_text(json.dumps(row) + "\n" + '{"query": "b", "que')
    assert list(read_log(file)) == [row]
    SelectionsLog(file, 1000, 1).write([row])
    assert list(read_log(file)) == [row, row]
    file.write_text('{"query": "b", "que\n' + json.dumps(row) + "\n")
    with pytest.raises(DataError, match="row 1: is not JSON"):
        list(read_log(file))


def test_a_log_that_cannot_be_written_is_told_at_the_start_and_counted_later(
    client: Client, query: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        client(log=tmp_path)
    served = client(log=tmp_path / "folder" / "log")
    (tmp_path / "folder" / "log").unlink()
    (tmp_path / "folder").rmdir()
    assert served.post("/select", json=query).status_code == 200
    assert "shotsmith_log_failures_total 1.0" in served.get("/metrics").text
