"""No demonstrations: what the VLM knows and sees by itself."""

from __future__ import annotations

from dataclasses import dataclass

from shotsmith.records import Sequence
from shotsmith.selectors.protocol import Tasks


@dataclass(frozen=True, slots=True)
class ZeroShot:
    """The empty sequence, whatever the number of shots."""

    name: str = "zero_shot"

    def select(self, tasks: Tasks, shots: int) -> list[Sequence]:
        """One empty sequence per query."""
        return [() for _query in tasks.queries]
