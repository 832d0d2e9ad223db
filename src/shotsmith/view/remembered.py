"""What was computed from files, remembered while they stay the same."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")


def stamps(files: Iterable[Path]) -> tuple[Hashable, ...]:
    """What changes when one of the files does: place on disk, size and time; None for one that is not there."""
    found: list[Hashable] = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


def version(*keys: object) -> str:
    """A short text that differs where the keys do."""
    return hashlib.sha256(repr(keys).encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Remembered:
    """Values by name, each with the key under which it was computed; the last one of each name is kept.

    Requests that ask for the same value at the same time wait for one computation.
    """

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[Hashable, Any]] = {}
        self._guards: dict[Hashable, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(self, name: Hashable, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The value of that name under that key."""
        with self._guard:
            guard = self._guards.setdefault(name, threading.Lock())
        with guard:
            if name not in self._values or self._values[name][0] != key:
                self._values[name] = key, compute()
            value: Value = self._values[name][1]
            return value
