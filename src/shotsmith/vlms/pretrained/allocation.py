"""Keep freed memory in the process, but not ever more of it.

A forward pass frees and takes the same large blocks over and over. By default glibc hands blocks of that size back to
the system at once, and the next pass pays for every page again; on the built-in VLM that is about a third of the time.
Passes have many sizes, so that the freed blocks of one do not suit the next, and what is kept grows for hours. It is
therefore given back whenever the process has grown by GROWTH.
"""

from __future__ import annotations

import ctypes
import sys

from shotsmith.memory import resident_bytes

_TRIM_THRESHOLD = -1
_MMAP_MAX = -4
_LARGEST = 2**31 - 1

GROWTH = 400_000_000
"""Bytes. Several times what a pass of the built-in VLM takes, so that few passes pay for pages anew."""


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed, for the rest of this process. False where there is no glibc to tell."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _LARGEST))


class FreedMemory:
    """Gives freed memory back to the system from time to time."""

    def __init__(self, growth: int = GROWTH) -> None:
        """`growth`: bytes that the process may grow by in between."""
        self._growth = growth
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
        self._before = resident_bytes()

    def bound(self) -> bool:
        """Give back what is free if the process has grown by so much; whether that was done. Cheap otherwise."""
        if self._trim is None or resident_bytes() - self._before < self._growth:
            return False
        self._trim(0)
        self._before = resident_bytes()
        return True
