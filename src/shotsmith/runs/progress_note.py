"""The progress of a run, noted in its folder while a process works in it, for whoever watches from outside.

The note is for watching only: nothing that a run computes depends on it, and it is removed at the end. A process that
is killed leaves it behind. `current_note` therefore returns it only while the process that wrote it holds the lock of
the run folder.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shotsmith.errors import WriteError
from shotsmith.files import replacing
from shotsmith.progress import Advance, Progress
from shotsmith.runs.lock import lock_holder

logger = logging.getLogger(__name__)

NOTE_FILE = "progress.json"
WINDOW_SECONDS = 60.0
"""The time over which prompts per second are averaged."""
_PROMPT = "prompt"
"""The unit of the tasks that send prompts to the VLM."""

Note = dict[str, Any]


class NotedProgress:
    """Passes progress on to a listener and notes it in a file, at most once in `seconds`. A context manager.

    A thread writes the file, so that no work waits for the disk. Where the file cannot be written, a warning is logged
    once and the work goes on.
    """

    def __init__(self, file: Path, listener: Progress, seconds: float = 1.0) -> None:
        """`seconds` lie between two notes."""
        self._file, self._listener, self._seconds = file, listener, seconds
        self._guard = threading.Lock()
        self._tasks: list[_Task] = []
        self._stage: str | None = None
        self._started = 0.0
        self._requests: Callable[[], int] = lambda: 0
        self._before = self._sent = self._hits = 0
        self._pace = _Pace()
        self._ended = threading.Event()
        self._writer = threading.Thread(target=self._write_on, daemon=True)
        self._has_warned = False

    def __enter__(self) -> NotedProgress:
        self._write()
        self._writer.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._writer.join()
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)

    def stage(self, name: str, requests: Callable[[], int] = lambda: 0) -> None:
        """Note which stage begins. `requests` gives the completions that the process has been given so far."""
        with self._guard:
            self._stage, self._started, self._pace = name, time.time(), _Pace()
            self._requests, self._before, self._sent, self._hits = requests, requests(), 0, 0

    @contextlib.contextmanager
    def task(self, label: str, total: int, unit: str = "it") -> Iterator[Advance]:
        """Pass the task on, and count what is finished of it."""
        task = _Task(label, total, unit)
        with self._guard:
            self._tasks.append(task)
        try:
            with self._listener.task(label, total, unit) as advance:

                def both(amount: int) -> None:
                    with self._guard:
                        task.advance(amount)
                        if unit == _PROMPT:
                            self._pace.advance(amount)
                    advance(amount)

                yield both
        finally:
            with self._guard:
                self._tasks.remove(task)
                self._sent += total if unit == _PROMPT else 0

    def epoch(self, metrics: Mapping[str, object]) -> None:
        """Pass the row on; it is in the run's metrics already."""
        self._listener.epoch(metrics)

    def note(self) -> Note:
        """What is written: the stage and its tasks, the outermost first; times are seconds since 1970."""
        with self._guard:
            self._hits = max(self._hits, self._requests() - self._before - self._sent)
            return {
                "pid": os.getpid(),
                "noted": time.time(),
                "stage": self._stage,
                "stage_started": self._started,
                "tasks": [task.as_json() for task in self._tasks],
                "vlm_calls": self._pace.done,
                "store_hits": self._hits,
                "prompts_per_second": self._pace.rate(),
            }

    def _write_on(self) -> None:
        while not self._ended.wait(self._seconds):
            self._write()

    def _write(self) -> None:
        try:
            with replacing(self._file, durable=False) as temporary:
                temporary.write_text(json.dumps(self.note(), ensure_ascii=False), encoding="utf-8")
        except WriteError as error:
            if not self._has_warned:
                logger.warning("the progress of the run is not noted: %s", error)
            self._has_warned = True


def current_note(folder: Path) -> Note | None:
    """The note of the process that works in a run folder now; None where there is none, or it has not noted yet."""
    holder = lock_holder(folder)
    note = _read(folder / NOTE_FILE)
    return note if holder is not None and note is not None and note.get("pid") == holder.pid else None


def _read(file: Path) -> Note | None:
    try:
        note = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) else None


class _Task:
    """A piece of work under way. Its rate is measured from the first advance: what came before it was set-up."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self._began = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._last = self._began

    def advance(self, amount: int) -> None:
        self.done += amount
        self._last = time.monotonic()
        if self._first is None:
            self._first = self._last, self.done

    def as_json(self) -> dict[str, Any]:
        now, rate = time.monotonic(), self._rate()
        left = None if rate is None else max(0.0, (self.total - self.done) / rate - (now - self._last))
        told = {"label": self.label, "unit": self.unit, "done": self.done, "total": self.total}
        return told | {"seconds": now - self._began, "rate": rate, "seconds_left": left}

    def _rate(self) -> float | None:
        """Units per second; None before a second advance."""
        if self._first is None:
            return None
        since, done = self._first
        return (self.done - done) / (self._last - since) if self.done > done and self._last > since else None


class _Pace:
    """Prompts that the VLM has completed in a stage, and how many a second of late."""

    def __init__(self) -> None:
        self.done = 0
        self._marks = deque([(time.monotonic(), 0)])

    def advance(self, amount: int) -> None:
        self.done += amount
        now = time.monotonic()
        self._marks.append((now, self.done))
        while len(self._marks) > 1 and self._marks[1][0] < now - WINDOW_SECONDS:
            self._marks.popleft()

    def rate(self) -> float | None:
        """Completed prompts per second over the window, pauses included; None before the first."""
        since, done = self._marks[0]
        return (self.done - done) / (time.monotonic() - since) if self.done else None
