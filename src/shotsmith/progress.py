"""How long work says how far it is, without knowing who listens (a terminal, a log, nobody)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Advance = Callable[[int], None]
"""Called with the number of units just finished."""


class Progress(Protocol):
    """Receives what long work has to tell."""

    def task(self, label: str, total: int, unit: str = "it") -> AbstractContextManager[Advance]:
        """A piece of work of `total` units; the value of the `with` statement advances it."""
        ...

    def epoch(self, metrics: Mapping[str, object]) -> None:
        """An epoch's row of metrics is complete (it holds 'seed', 'phase' and 'epoch')."""
        ...


class Silent:
    """Tells nobody."""

    def task(self, label: str, total: int, unit: str = "it") -> AbstractContextManager[Advance]:
        """Ignore the task."""
        return nullcontext(lambda _amount: None)

    def epoch(self, metrics: Mapping[str, object]) -> None:
        """Ignore the row."""
