"""A selector under another name: one that chooses from the whole bank beside the same one that chooses from pools."""

from __future__ import annotations

from dataclasses import dataclass

from shotsmith.records import Sequence
from shotsmith.selectors.protocol import Selector, Tasks

AT_BANK = "@bank"
"""Ends the names of what chooses from the whole bank in a recipe that has pools."""


@dataclass(frozen=True, slots=True)
class Named:
    """Selects as `selector` does; its name is `name`."""

    selector: Selector
    name: str

    def select(self, tasks: Tasks, shots: int) -> list[Sequence]:
        """The selector's sequences."""
        return self.selector.select(tasks, shots)


def at_bank(selector: Selector) -> Named:
    """The selector, named for choosing from the whole bank."""
    return Named(selector, f"{selector.name}{AT_BANK}")
