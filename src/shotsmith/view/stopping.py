"""Stop the process that works in a run folder, as Ctrl-C does: that process and no other."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from shotsmith.errors import ShotsmithError
from shotsmith.runs.lock import LOCK_FILE, Holder, lock_holder

Obstacle = Literal["elsewhere", "ignores", "forbidden"]
"""Why a process cannot be stopped from here: it runs on another machine (or in another container), it was started such
that it ignores Ctrl-C, or it belongs to another user."""

_PROBLEMS: dict[Obstacle, str] = {
    "elsewhere": "the run is being run on another machine ({holder.host}); stop it there",
    "ignores": "process {holder.pid} was started in the background and ignores Ctrl-C; to stop it: kill {holder.pid}",
    "forbidden": "process {holder.pid} belongs to another user",
}


def interrupt(folder: Path) -> int:
    """Send SIGINT to the process that holds the lock of a run folder; its number.

    The run then notes that it was interrupted, and can be gone on with. Raises ShotsmithError where no process holds
    the lock, or the one that does cannot be stopped from here.
    """
    holder = lock_holder(folder)
    if holder is None:
        raise ShotsmithError("the run is not running")
    if (why := obstacle(folder, holder)) is not None:
        raise ShotsmithError(_PROBLEMS[why].format(holder=holder))
    try:
        _signal(holder.pid, lambda: lock_holder(folder) == holder)
    except ProcessLookupError as error:
        raise ShotsmithError("the run has just ended") from error
    return holder.pid


def obstacle(folder: Path, holder: Holder) -> Obstacle | None:
    """What keeps the holder of a lock from being stopped; None where nothing does."""
    if not holder.is_here:
        return "elsewhere"
    process = Path("/proc") / str(holder.pid)
    if not Path("/proc/self").exists():  # a system without /proc: the number of the process is all there is to go by
        return None
    try:
        if not _has_open(process, folder / LOCK_FILE):
            return "elsewhere"
        return "ignores" if _ignores_interrupts(process) else None
    except PermissionError:
        return "forbidden"
    except FileNotFoundError:
        return "elsewhere"


def _has_open(process: Path, file: Path) -> bool:
    """Whether a process has a file open: a number alone may be that of a process of another container."""
    wanted = file.stat()
    for descriptor in (process / "fd").iterdir():
        try:
            found = descriptor.stat()
        except FileNotFoundError:
            continue  # closed meanwhile
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False


def _ignores_interrupts(process: Path) -> bool:
    """As what a shell script starts in the background does."""
    lines = (process / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    ignored = next((int(line.split()[1], 16) for line in lines if line.startswith("SigIgn:")), 0)
    return bool(ignored >> (signal.SIGINT - 1) & 1)


def _signal(pid: int, still_holds: Callable[[], bool]) -> None:
    """Send SIGINT. Raises ProcessLookupError where the process has ended.

    A handle of the process is taken first: should it end now, its number may go to another, which the handle does not.
    """
    if not hasattr(os, "pidfd_open"):
        os.kill(pid, signal.SIGINT)
        return
    handle = os.pidfd_open(pid)
    try:
        if not still_holds():
            raise ProcessLookupError
        signal.pidfd_send_signal(handle, signal.SIGINT)
    finally:
        os.close(handle)
