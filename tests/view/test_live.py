"""What the page is told of a run while it runs and afterwards."""

from __future__ import annotations

import hashlib
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from watched_worker import Client, Made, epoch_row, working

from shotsmith.attempts import attempt
from shotsmith.completions.store import Store
from shotsmith.records import Failure
from shotsmith.runs import Run
from shotsmith.view.live import FAILURES_SECONDS
from shotsmith.view.standing import SILENT_SECONDS, epochs_left


def states(told: dict[str, Any]) -> dict[str, str]:
    return {stage["name"]: stage["state"] for stage in told["stages"] if stage["state"] != "waiting"}


def live(served: TestClient, name: str = "demo") -> dict[str, Any]:
    answer = served.get(f"/api/runs/{name}/live")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def wait_for(served: TestClient, **wanted: object) -> dict[str, Any]:
    """What the page is told once the process at work has noted these values."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        now = live(served)["now"] or {}
        if all(now.get(key) == value for key, value in wanted.items()):
            return live(served)
        time.sleep(0.02)
    raise AssertionError(f"{now} has not {wanted}")


def test_a_run_that_was_never_started(made: Made, client: Client) -> None:
    served = client(made())
    told = live(served)
    assert (told["status"], states(told), told["now"], told["process"], told["stopped"]) == (
        "created",
        {},
        None,
        None,
        None,
    )
    assert served.get("/api/runs/demo/live/curves").json()["rows"] == []
    assert served.get("/api/runs/demo/live/outcome").json()["selectors"] == []
    assert served.get("/api/runs/demo/live/findings").json() == {"findings": [], "failed_prompts": None}


def test_a_run_at_work(made: Made, client: Client) -> None:
    run = made()
    served = client(run)
    with working(run) as worker:
        worker.tell("record", "data", 3.5, 0, 0)
        worker.tell("stage", "train")
        worker.tell("task", "grpo, seed 0", 4, "epoch")
        worker.tell("task", "seed-0/grpo/epoch-001", 40, "prompt")
        worker.tell("advance", 12)
        told = wait_for(served, vlm_calls=12)
        assert told["status"] == "running" and states(told) == {"data": "done", "train": "running"}
        assert told["process"]["pid"] == worker.pid and not told["process"]["silent"]
        assert [(task["label"], task["done"], task["total"]) for task in told["now"]["tasks"]] == [
            ("grpo, seed 0", 0, 4),
            ("seed-0/grpo/epoch-001", 12, 40),
        ]
        assert told["now"]["seconds_left"] is None, "no epoch has shown the pace yet"
        for epoch in range(3):
            worker.tell("epoch", epoch_row(epoch))
        left = live(served)["now"]["seconds_left"]
        assert 2 * 10 - 5 < left <= 2 * 10


@pytest.mark.parametrize(("how", "state"), [("killed", "killed"), ("failed", "failed"), ("interrupted", "interrupted")])
def test_a_run_that_stopped_says_why(made: Made, client: Client, how: str, state: str) -> None:
    run = made()
    served = client(run)
    with working(run) as worker:
        worker.tell("record", "data", 3.5, 0, 0)
        worker.tell("stage", "embed")
        wait_for(served, stage="embed")
        if how == "failed":
            with pytest.raises(AssertionError):
                worker.tell("fail", "the disk\x1b[31m is full")
        else:
            worker.process.send_signal(signal.SIGKILL if how == "killed" else signal.SIGINT)
        worker.process.wait(20)
        told = live(served)
    assert (told["status"], told["now"], told["process"]) == ("stopped", None, None)
    assert states(told) == {"data": "done", "embed": "stopped"}
    assert (told["stopped"]["how"], told["stopped"]["after"]) == (state, "data")
    assert told["stopped"]["error"] == ("the disk\\x1b[31m is full" if how == "failed" else None)


def test_a_process_that_notes_nothing_any_more_is_told_apart(made: Made, client: Client, monkeypatch) -> None:
    run = made()
    served = client(run)
    with working(run) as worker:
        worker.tell("stage", "train")
        wait_for(served, stage="train")
        worker.process.send_signal(signal.SIGSTOP)
        now = time.time()
        monkeypatch.setattr("shotsmith.view.standing.time.time", lambda: now + SILENT_SECONDS + 1)
        assert live(served)["process"]["silent"]
        worker.process.send_signal(signal.SIGCONT)


def test_a_finished_run(finished: Run, client: Client) -> None:
    served = client(finished)
    told = live(served, "finished")
    assert told["status"] == "done" and set(states(told).values()) == {"done"} and len(states(told)) == 8
    train = next(stage for stage in told["stages"] if stage["name"] == "train")
    assert (train["seconds"], train["vlm_calls"], train["cache_hits"]) == (12.5, 400, 30)
    curves = served.get("/api/runs/finished/live/curves").json()
    assert curves["planned"]["grpo"] == 4
    assert [row["val_reward"] for row in curves["rows"]] == pytest.approx([1.0, 1.1, 1.2, 1.3, 1.4])
    assert curves["best"] == [{"seed": 0, "phase": "grpo", "epoch": 4, "val_reward": 1.4}]
    outcome = served.get("/api/runs/finished/live/outcome").json()
    assert outcome["verdict"].startswith("grpo 88.0 % beats the best free selector (mixed, 48.0 %) by 40.0 points [")
    assert [(one["name"], one["kind"]) for one in outcome["selectors"]] == [
        ("zero_shot", "free"),
        ("mixed", "best_free"),
        ("grpo", "trained"),
        ("oracle", "bound"),
    ]
    assert outcome["shots"] == [1, 2, "mean"] and outcome["selectors"][2]["cells"][2]["low"] == 84.0


def test_what_is_said_is_said_in_the_language_asked_for(finished: Run, client: Client) -> None:
    served = client(finished)
    finished.record_epoch(epoch_row(5, adv_std=0.01))
    chinese, english = (served.get(f"/api/runs/finished/live/findings?lang={lang}").json() for lang in ("zh", "en"))
    assert english["findings"] and len(english["findings"]) == len(chinese["findings"])
    assert english["findings"][0]["title"] != chinese["findings"][0]["title"]
    assert "点" in served.get("/api/runs/finished/live/outcome?lang=zh").json()["verdict"]
    for lang in ("fr", "", "en'", "../en"):
        assert served.get("/api/runs/finished/live/outcome", params={"lang": lang}).status_code == 422


def test_only_what_has_changed_is_told_and_computed_again(finished: Run, client: Client, monkeypatch) -> None:
    served = client(finished)
    computed: list[str] = []
    from shotsmith.view import findings

    for name in ("curves", "findings", "outcome"):
        function = getattr(findings, name)
        monkeypatch.setattr(findings, name, lambda *a, n=name, f=function: computed.append(n) or f(*a))
    first = served.get("/api/runs/finished/live")
    known = {"if-none-match": first.headers["etag"]}
    for _ in range(3):
        assert served.get("/api/runs/finished/live", headers=known).status_code == 304
        for part in ("curves", "findings", "outcome"):
            assert served.get(f"/api/runs/finished/live/{part}").status_code == 200
    assert computed == ["curves", "findings", "outcome"]
    finished.record_epoch(epoch_row(5))
    again = served.get("/api/runs/finished/live", headers=known)
    assert again.status_code == 200
    assert again.json()["versions"]["curves"] != first.json()["versions"]["curves"]
    assert len(served.get("/api/runs/finished/live/curves").json()["rows"]) == 6
    assert computed == ["curves", "findings", "outcome", "curves"]


def test_prompts_that_fail_are_told_before_an_epoch_is_done(made: Made, client: Client, monkeypatch) -> None:
    run = made()
    served = client(run)
    path = "/api/runs/demo/live/findings"
    now = 1000.0
    monkeypatch.setattr("shotsmith.view.live.time.time", lambda: now)
    with working(run) as worker, Store.open(run.completions) as store:
        worker.tell("stage", "train")
        assert served.get(path).json()["failed_prompts"] is None
        store.put_many([(f"{number:064x}", Failure("HTTP 500")) for number in range(3)], "seed-0/grpo/epoch-001")
        before = live(served)["versions"]["findings"]
        now += FAILURES_SECONDS
        assert live(served)["versions"]["findings"] != before
        told = served.get(path).json()["failed_prompts"]
        assert (told["failed"], told["asked"], told["reason"]) == (3, 3, "HTTP 500")


def content(folder: Path) -> dict[str, object]:
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.is_file() and hashlib.sha256(path.read_bytes()).digest(),
        )
        for path in sorted(folder.rglob("*"))
    }


def test_reading_changes_nothing_in_the_folder(finished: Run, client: Client) -> None:
    served, before = client(finished), content(finished.folder)
    for path in ("", "/curves", "/findings", "/outcome", "/findings?lang=zh"):
        assert served.get(f"/api/runs/finished/live{path}").status_code == 200
    assert content(finished.folder) == before


def test_a_damaged_file_is_named_and_the_rest_is_told(finished: Run, client: Client) -> None:
    finished.summary.write_text("{")
    served = client(finished)
    answer = served.get("/api/runs/finished/live/outcome")
    assert answer.status_code == 422 and "summary.json" in answer.json()["error"]["message"]
    assert live(served, "finished")["status"] == "done"
    assert len(served.get("/api/runs/finished/live/curves").json()["rows"]) == 5


def test_a_run_that_is_taken_up_again_is_followed(made: Made, client: Client) -> None:
    run = made()
    served = client(run)
    with pytest.raises(ValueError), run.lock(), attempt(run.folder):
        raise ValueError("no luck")
    assert live(served)["stopped"]["error"] == "no luck"
    with working(run) as worker:
        worker.tell("stage", "data")
        assert wait_for(served, stage="data")["stopped"] is None
        worker.end()
    assert live(served)["status"] == "stopped" and live(served)["stopped"]["how"] == "finished"


def test_the_epochs_left_are_those_of_phases_that_are_not_over(made: Made) -> None:
    run = made(seeds=[3, 4], supervised={"epochs": 2}, rce={"epochs": 1}, grpo={"epochs": 4})
    assert epochs_left(run, []) == {"supervised": 4, "rce": 2, "grpo": 8}
    rows = [epoch_row(1, 3, "supervised")]
    assert epochs_left(run, rows) == {"supervised": 3, "rce": 2, "grpo": 8}
    rows += [epoch_row(0, 3), epoch_row(1, 3)]  # supervised training and RCE stopped early
    assert epochs_left(run, rows) == {"supervised": 2, "rce": 1, "grpo": 7}
    rows += [epoch_row(1, 4, "supervised")]  # so did the first seed
    assert epochs_left(run, rows) == {"supervised": 1, "rce": 1, "grpo": 4}
