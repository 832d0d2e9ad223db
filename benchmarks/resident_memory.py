"""Resident memory of this process, as Linux tells it in /proc."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType


class ResidentMemory:
    """The most memory that is resident within the `with` block, mapped file pages included. In MiB."""

    def __init__(self, seconds: float = 0.05) -> None:
        """`seconds` lie between two looks at the parts."""
        self.seconds = seconds
        self.start = self.peak = 0.0
        """What was resident before, and at most."""
        self.own = self.mapped = 0.0
        """The two parts of it, at the look that found most: own memory, and pages of mapped files."""
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> ResidentMemory:
        Path("/proc/self/clear_refs").write_text("5")  # the kernel forgets the peak so far
        self.start = resident()["VmRSS"]
        self._watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._done.set()
        self._watch.join()
        self.peak = resident()["VmHWM"]

    def _look_on(self) -> None:
        while not self._done.wait(self.seconds):
            now = resident()
            if now["VmRSS"] > self.own + self.mapped:
                self.own, self.mapped = now["RssAnon"], now["RssFile"] + now["RssShmem"]


def resident() -> dict[str, float]:
    """VmRSS (now), VmHWM (the peak), and what VmRSS is made of."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {line[0].rstrip(":"): int(line[1]) / 1024 for line in lines if line[0].startswith(("VmRSS", "VmHWM", "Rss"))}
