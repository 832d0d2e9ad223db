"""The memory of this process: what is resident now, at most so far, and at most in all attempts at a stage.

An attempt that is killed leaves no record of its stage, and one that runs out of memory is the one to know about. So
the high-water mark is written down while a stage is under way.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import threading
from pathlib import Path
from types import TracebackType

from shotsmith.errors import InputError, WriteError
from shotsmith.files import read_json, write_json

_NOTED = 1.01
"""The mark is written down again once it has grown by this factor."""


def resident_bytes() -> int:
    """Memory that the process holds now; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def peak_resident_bytes() -> int:
    """The most memory that the process has held so far (VmHWM on Linux), pages of mapped files included."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class PeakMemory:
    """The most memory that a process has held in any attempt at one stage, kept in a file that all stages share.

    Use it in a `with` statement around an attempt. Raises InputError where the file is damaged, and WriteError where
    it cannot be written at the beginning or at the end.
    """

    def __init__(self, file: Path, stage: str, seconds: float = 1.0) -> None:
        """`seconds` lie between two looks."""
        self._file, self._stage, self._seconds = file, stage, seconds
        self._noted = _read(file)
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look_on, daemon=True)

    @property
    def bytes(self) -> int:
        """The mark as last written down, at most 1 % too low while an attempt is under way."""
        return self._noted.get(self._stage, 0)

    def __enter__(self) -> PeakMemory:
        self._note(_NOTED)
        self._watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._done.set()
        self._watch.join()
        self._note(1.0)

    def _look_on(self) -> None:
        while not self._done.wait(self._seconds):
            with contextlib.suppress(WriteError):  # the end of the attempt writes again, and raises it
                self._note(_NOTED)

    def _note(self, factor: float) -> None:
        peak = peak_resident_bytes()
        if peak > self.bytes * factor:
            noted = self._noted | {self._stage: peak}
            write_json(self._file, noted)
            self._noted = noted


def _read(file: Path) -> dict[str, int]:
    noted = read_json(file) if file.exists() else {}
    if not isinstance(noted, dict) or not all(type(peak) is int for peak in noted.values()):
        raise InputError("is not a table of bytes by stage; delete it", file=file)
    return noted
