"""The lock of a run folder: one process at a time works in it.

The lock is an advisory lock (flock) of the file `.lock`, which the system releases when the process ends, however it
ends. The file stays, and says which process had the lock last.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from shotsmith.errors import ShotsmithError
from shotsmith.temporary import clear_all_leftovers

LOCK_FILE = ".lock"
_MOMENT = 0.1
"""Seconds for which a lock that is held is tried again."""
_OWNER = re.compile(r"pid (\d+) on (.*)")


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a lock."""

    pid: int
    host: str

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == socket.gethostname()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder, and first remove the temporary files that a killed process left there.

    Raises ShotsmithError naming the process that holds the lock.
    """
    with (folder / LOCK_FILE).open("a+", encoding="utf-8") as stream:
        if not _is_taken(stream):
            stream.seek(0)
            owner = stream.read().strip() or "unknown"
            raise ShotsmithError(f"{folder} is in use by another process ({owner}); wait or stop it")
        stream.truncate(0)
        stream.write(f"pid {os.getpid()} on {socket.gethostname()}")
        stream.flush()
        clear_all_leftovers(folder)
        yield


def _is_taken(stream: TextIO) -> bool:
    """Take the lock. It is tried again for a moment, because `is_locked` holds it too while it looks."""
    end = time.monotonic() + _MOMENT
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                return False
        time.sleep(0.01)


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock now."""
    if not was_locked(folder):
        return False
    with (folder / LOCK_FILE).open(encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def lock_holder(folder: Path) -> Holder | None:
    """The process that holds the lock now; None where none does."""
    if not is_locked(folder):
        return None
    owner = _OWNER.fullmatch((folder / LOCK_FILE).read_text(encoding="utf-8").strip())
    return Holder(int(owner[1]), owner[2]) if owner else None


def was_locked(folder: Path) -> bool:
    """Whether a process has ever held the lock."""
    return (folder / LOCK_FILE).exists()
