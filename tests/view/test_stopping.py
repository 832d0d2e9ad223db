"""Stopping a run from its page: the process that works on it, and no other."""

from __future__ import annotations

import subprocess
import sys

import pytest
from watched_worker import Client, Made, working

from shotsmith.attempts import last_attempt
from shotsmith.errors import ShotsmithError
from shotsmith.view.stopping import interrupt

STOP = "/api/runs/{}/live/stop"


def test_the_process_of_the_run_is_interrupted_and_only_it(made: Made, client: Client) -> None:
    runs = [made(name) for name in ("one", "two", "three")]
    served = client(*runs)
    with working(runs[0]) as first, working(runs[1]) as second, working(runs[2]) as third:
        answer = served.post(STOP.format("two"), json={})
        assert (answer.status_code, answer.json()) == (200, {"interrupted": second.pid})
        assert second.process.wait(20) != 0
        assert first.process.poll() is None and third.process.poll() is None
        first.tell("stage", "train")
        third.tell("stage", "train")
    ended = last_attempt(runs[1].folder)
    assert ended is not None and ended.how == "interrupted"
    assert served.get("/api/runs/two/live").json()["stopped"]["how"] == "interrupted"


def test_a_run_that_is_not_running_cannot_be_stopped(made: Made, client: Client) -> None:
    run = made()
    assert client(run).post(STOP.format("demo"), json={}).json()["error"]["message"] == "the run is not running"
    with working(run) as worker:
        worker.end()
    assert client(run).post(STOP.format("demo"), json={}).status_code == 409


def test_a_run_of_another_machine_is_stopped_there(made: Made, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made()
    with working(run) as worker:
        monkeypatch.setattr("shotsmith.runs.lock.socket.gethostname", lambda: "another")
        assert client(run).get("/api/runs/demo/live").json()["process"]["obstacle"] == "elsewhere"
        answer = client(run).post(STOP.format("demo"), json={})
        assert answer.status_code == 409 and "another machine" in answer.json()["error"]["message"]
        assert worker.process.poll() is None


def test_a_stranger_whose_number_stands_in_the_lock_is_left_alone(made: Made, client: Client) -> None:
    run = made()
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with working(run) as worker:
            lock = run.folder / ".lock"
            lock.write_text(lock.read_text().replace(str(worker.pid), str(stranger.pid)))
            answer = client(run).post(STOP.format("demo"), json={})
            assert answer.status_code == 409
            assert stranger.poll() is None and worker.process.poll() is None
    finally:
        stranger.communicate(b"\n", timeout=20)
    assert stranger.returncode == 0


def test_a_process_that_ignores_interrupts_is_not_said_to_be_stopped(made: Made, client: Client) -> None:
    run = made()
    with working(run, ignores_interrupts=True) as worker:
        worker.tell("stage", "train")
        assert client(run).get("/api/runs/demo/live").json()["process"]["obstacle"] == "ignores"
        with pytest.raises(ShotsmithError, match=f"ignores Ctrl-C; to stop it: kill {worker.pid}"):
            interrupt(run.folder)
