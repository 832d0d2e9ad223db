"""The order in which queries are taken: one shuffled pass after the other, without end."""

from __future__ import annotations

import torch

from shotsmith.training.seeding import generator


class QueryOrder:
    """An endless stream over `size` items; its only state is `cursor`, the number of items taken so far."""

    def __init__(self, size: int, *seed: str | int, cursor: int = 0) -> None:
        self.size = size
        self.cursor = cursor
        self._seed = seed
        self._pass: tuple[int, list[int]] = (-1, [])

    def take(self, count: int) -> list[int]:
        """The next `count` items; an item comes again only after all others have come."""
        taken = [self._item(position) for position in range(self.cursor, self.cursor + count)]
        self.cursor += count
        return taken

    def _item(self, position: int) -> int:
        number, place = divmod(position, self.size)
        if self._pass[0] != number:
            shuffled = torch.randperm(self.size, generator=generator(*self._seed, "pass", number)).tolist()
            self._pass = (number, shuffled)
        return self._pass[1][place]
