"""Unfinished files and folders beside those they will replace, under names that only this program gives.

A writer holds a lock on what it has not finished. What nobody holds was left by a killed writer, and is cleared.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"\.shotsmith-([0-9a-f]{12})-[0-9a-f]{12}\.(new|old)")
"""Digest of the name of what is to be replaced, a random part, and whether it is the new or what was there."""


@contextlib.contextmanager
def unfinished_file(path: Path) -> Iterator[Path]:
    """A new empty file beside `path`, gone afterwards unless renamed. Its mode follows the umask."""
    temporary = _beside(path)
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        _hold(descriptor)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


@contextlib.contextmanager
def unfinished_folder(folder: Path) -> Iterator[Path]:
    """A new empty folder beside `folder`, gone afterwards unless renamed. Its mode follows the umask."""
    temporary = _beside(folder)
    temporary.mkdir()
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        _hold(descriptor)
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(descriptor)


def exchange_folder(new: Path, folder: Path) -> None:
    """Let `new` take the place of `folder`; what was there is kept until it has, and goes then."""
    old = new.with_suffix(".old")
    if folder.exists():
        folder.replace(old)
    new.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def clear_leftovers(folder: Path, target: Path | None = None) -> None:
    """Remove what killed writers left in `folder`: of anything, or of `target` alone.

    A folder that was moved aside for one that never came takes its place again.
    """
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.name.startswith(".shotsmith-")]
    except OSError:
        return
    for name in names:
        found = _NAME.fullmatch(name)
        if found is None or (target is not None and found.group(1) != _key(target)):
            continue
        leftover = folder / name
        if found.group(2) == "old" and target is not None and not target.exists():
            leftover.replace(target)
        elif found.group(2) == "new" or target is not None:
            _remove(leftover)


def clear_all_leftovers(folder: Path) -> None:
    """The same for `folder` and all folders within it."""
    for place, _, _ in os.walk(folder):
        clear_leftovers(Path(place))


def is_unfinished(name: str) -> bool:
    """Whether a file or folder of this name is one that a writer has not finished."""
    return _NAME.fullmatch(name) is not None


def _beside(path: Path) -> Path:
    return path.with_name(f".shotsmith-{_key(path)}-{secrets.token_hex(6)}.new")


def _key(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]


def _hold(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # a file system without locks: nothing of it is cleared
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove(leftover: Path) -> None:
    """Remove a leftover that no writer holds."""
    try:
        descriptor = os.open(leftover, os.O_RDONLY)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    else:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
