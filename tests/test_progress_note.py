"""What a process at work says of its progress in the run folder."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from watched_worker import working

from shotsmith.errors import WriteError
from shotsmith.progress import Silent
from shotsmith.recipe import parse_recipe
from shotsmith.runs import Run, progress_note
from shotsmith.runs.lock import is_locked, locked
from shotsmith.runs.progress_note import NotedProgress, current_note


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "demo", parse_recipe({"name": "demo", "data": {"world": {}}}))


def wait_for_note(run: Run, **wanted: object) -> dict[str, object]:
    """The first note of the process at work that has these values."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        note = current_note(run.folder)
        if note is not None and all(note[key] == value for key, value in wanted.items()):
            return note
        time.sleep(0.01)
    raise AssertionError(f"{note} has not {wanted}")


def test_a_note_names_the_stage_its_tasks_and_what_the_vlm_did(tmp_path: Path) -> None:
    requests = 100  # of earlier stages
    noted = NotedProgress(tmp_path / "progress.json", Silent())
    noted.stage("train", lambda: requests)
    with noted.task("grpo, seed 0", 6, "epoch"):
        with noted.task("seed-0/grpo/epoch-001", 40, "prompt") as advance:
            advance(16)
            advance(8)
            note = noted.note()
            assert [(task["label"], task["unit"], task["done"], task["total"]) for task in note["tasks"]] == [
                ("grpo, seed 0", "epoch", 0, 6),
                ("seed-0/grpo/epoch-001", "prompt", 24, 40),
            ]
            assert (note["stage"], note["vlm_calls"], note["store_hits"]) == ("train", 24, 0)
            advance(16)
        requests += 50
        note = noted.note()
        assert (len(note["tasks"]), note["vlm_calls"], note["store_hits"]) == (1, 40, 10)
    noted.stage("evaluate", lambda: requests)
    note = noted.note()
    assert (note["stage"], note["tasks"], note["vlm_calls"], note["store_hits"]) == ("evaluate", [], 0, 0)
    assert note["prompts_per_second"] is None


def test_a_rate_leaves_out_what_was_done_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    clock = SimpleNamespace(monotonic=lambda: now, time=lambda: now)
    monkeypatch.setattr(progress_note, "time", clock)
    noted = NotedProgress(tmp_path / "progress.json", Silent())
    noted.stage("train")
    with noted.task("grpo, seed 0", 10, "epoch") as advance:
        advance(4)  # of an attempt before this one
        (task,) = noted.note()["tasks"]
        assert (task["done"], task["rate"], task["seconds_left"]) == (4, None, None)
        now += 20
        advance(1)
        now += 5
        (task,) = noted.note()["tasks"]
        assert task["rate"] == pytest.approx(1 / 20)
        assert task["seconds_left"] == pytest.approx(5 * 20 - 5)
        assert task["seconds"] == pytest.approx(25)


def test_prompts_per_second_are_those_of_the_last_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(progress_note, "time", SimpleNamespace(monotonic=lambda: now, time=lambda: now))
    noted = NotedProgress(tmp_path / "progress.json", Silent())
    noted.stage("evaluate")
    with noted.task("evaluation", 10_000, "prompt") as advance:
        for _ in range(20):
            now += 10
            advance(10)
        assert noted.note()["prompts_per_second"] == pytest.approx(1.0)
        for _ in range(20):
            now += 10
            advance(50)
        assert noted.note()["prompts_per_second"] == pytest.approx(5.0)


def test_notes_are_few_however_often_the_work_advances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[float] = []
    replacing = progress_note.replacing

    def counted(file: Path, *, durable: bool) -> object:
        assert not durable
        written.append(time.monotonic())
        return replacing(file, durable=durable)

    monkeypatch.setattr(progress_note, "replacing", counted)
    started = time.monotonic()
    with NotedProgress(tmp_path / "progress.json", Silent(), seconds=0.1) as noted:
        noted.stage("train")
        with noted.task("steps", 100_000) as advance:
            for _ in range(100_000):
                advance(1)
            time.sleep(0.25)
        assert json.loads((tmp_path / "progress.json").read_text())["stage"] == "train"
    lasted = time.monotonic() - started
    assert 2 <= len(written) <= lasted / 0.1 + 1
    assert lasted < 5, "a step costs more than 50 microseconds"


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
def test_the_note_is_gone_at_the_end_however_it_ends(tmp_path: Path, error: type[BaseException] | None) -> None:
    file = tmp_path / "progress.json"
    try:
        with NotedProgress(file, Silent()) as noted, noted.task("work", 3):
            assert file.exists()
            if error is not None:
                raise error
    except (KeyboardInterrupt, ValueError) as raised:
        assert type(raised) is error
    assert list(tmp_path.iterdir()) == []


def test_work_goes_on_where_no_note_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(file: Path, *, durable: bool) -> None:
        raise WriteError("No space left on device", file=file)

    monkeypatch.setattr(progress_note, "replacing", full)
    with caplog.at_level(logging.WARNING), NotedProgress(tmp_path / "progress.json", Silent(), seconds=0.01) as noted:
        with noted.task("work", 1) as advance:
            time.sleep(0.1)
            advance(1)
        assert noted.note()["tasks"] == []
    (record,) = caplog.records
    assert record.message.startswith("the progress of the run is not noted: ")
    assert record.message.endswith("progress.json: cannot be written: No space left on device")


def test_progress_is_passed_on(tmp_path: Path) -> None:
    told: list[object] = []

    class Listener(Silent):
        def task(self, label: str, total: int, unit: str = "it") -> object:  # type: ignore[override]
            told.append((label, total, unit))
            return super().task(label, total, unit)

        def epoch(self, metrics: object) -> None:  # type: ignore[override]
            told.append(metrics)

    noted = NotedProgress(tmp_path / "progress.json", Listener())
    with noted.task("work", 3, "image"):
        noted.epoch({"epoch": 1})
    assert told == [("work", 3, "image"), {"epoch": 1}]


def test_the_note_of_a_killed_process_is_that_of_none(run: Run) -> None:
    with working(run) as killed:
        killed.tell("stage", "train")
        note = wait_for_note(run, stage="train")
        assert note["pid"] == killed.pid
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait(20)
        assert run.progress_file.exists()
        assert current_note(run.folder) is None and run.status() == "stopped"
    with run.lock():  # another process: what lies there is not its note
        assert run.status() == "running" and current_note(run.folder) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', '{"pid": "x"}', "\x00"])
def test_a_damaged_note_is_none(run: Run, content: str) -> None:
    with run.lock():
        run.progress_file.write_text(content)
        assert current_note(run.folder) is None


def test_the_lock_is_had_while_others_look_whether_it_is_held(run: Run) -> None:
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            is_locked(run.folder)

    watchers = [threading.Thread(target=look) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(100):
            with locked(run.folder):
                pass
    finally:
        ended.set()
        for watcher in watchers:
            watcher.join()
