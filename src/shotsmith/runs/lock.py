"""The lock of a run folder: one process at a time works in it.

The lock is an advisory lock (flock) of the file `.lock`, which the system releases when the process ends, however it
ends. The file stays, and says which process had the lock last.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from shotsmith.errors import ShotsmithError
from shotsmith.temporary import clear_all_leftovers

LOCK_FILE = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder, and first remove the temporary files that a killed process left there.

    Raises ShotsmithError naming the process that holds the lock.
    """
    with (folder / LOCK_FILE).open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            owner = stream.read().strip() or "unknown"
            raise ShotsmithError(f"{folder} is in use by another process ({owner}); wait or stop it") from error
        stream.truncate(0)
        stream.write(f"pid {os.getpid()} on {socket.gethostname()}")
        stream.flush()
        clear_all_leftovers(folder)
        yield


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


def was_locked(folder: Path) -> bool:
    """Whether a process has ever held the lock."""
    return (folder / LOCK_FILE).exists()
