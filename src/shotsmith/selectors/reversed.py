"""Another selector's sequences in reverse order: how much does the order matter?"""

from __future__ import annotations

from dataclasses import dataclass

from shotsmith.records import Sequence
from shotsmith.selectors.protocol import Selector, Tasks


@dataclass(frozen=True, slots=True)
class Reversed:
    """What `selector` chooses, last first. Its name is that of `selector` with '_reversed'."""

    selector: Selector

    @property
    def name(self) -> str:
        """Name of the selector, with '_reversed'."""
        return f"{self.selector.name}_reversed"

    def select(self, tasks: Tasks, shots: int) -> list[Sequence]:
        """One reversed sequence per query."""
        return [sequence[::-1] for sequence in self.selector.select(tasks, shots)]
