"""What a VLM in this process has done, counted: so that what sharing and remembering save can be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Protocol, runtime_checkable


@dataclass(slots=True)
class Work:
    """Counts since the VLM was loaded."""

    rows: int = 0
    """Prompts, each answer to one with a row of its own."""
    tokens: int = 0
    """Tokens of the rows, with those of the answers given."""
    computed: int = 0
    """Tokens that passed the model for them: those of shared beginnings once, decoding not included."""
    padding: int = 0
    """Padding that passed with them."""
    passes: int = 0
    """Forward passes of the language model, decoding not included."""
    decoded: int = 0
    """Tokens decoded one by one."""
    images: int = 0
    """Images of the prompts."""
    remembered: int = 0
    """Images whose features were in memory."""
    read: int = 0
    """Images whose features were on disk; the others were computed."""

    def add(self, done: Mapping[str, int]) -> None:
        """Count what another VLM has done too, as its `since` tells it."""
        for name, value in done.items():
            setattr(self, name, getattr(self, name) + value)

    def since(self, before: Work) -> dict[str, int]:
        """What was done after an earlier count, by name; empty if nothing was."""
        done = {name: value - getattr(before, name) for name, value in asdict(self).items()}
        return done if any(done.values()) else {}

    @property
    def prefix_hits(self) -> float:
        """Share of the tokens that were taken from a shared beginning."""
        return 1 - self.computed / self.tokens if self.tokens else 0.0

    @property
    def vision_hits(self) -> float:
        """Share of the images whose features were in memory or on disk."""
        return (self.remembered + self.read) / self.images if self.images else 0.0


@runtime_checkable
class Counting(Protocol):
    """A VLM that counts its work."""

    work: Work
