"""The order in which queries are taken: one shuffled pass after the other, without end."""

from __future__ import annotations

import torch

from shotsmith.errors import InputError
from shotsmith.training.seeding import generator


class QueryOrder:
    """An endless stream over `size` items; its only state is `cursor`, the number of items passed so far."""

    def __init__(self, size: int, *seed: str | int, cursor: int = 0) -> None:
        self.size = size
        self.cursor = cursor
        self._seed = seed
        self._pass: tuple[int, list[int]] = (-1, [])

    def take(self, count: int, eligible: torch.Tensor | None = None) -> list[int]:
        """The next `count` items; an item comes again only after all others have come.

        Items that are not `eligible` ([size] bool, on the CPU) are passed over. Raises InputError where none is.
        """
        allowed = None if eligible is None else eligible.numpy()
        if allowed is not None and not allowed.any():
            raise InputError("no query is eligible for training")
        taken: list[int] = []
        while len(taken) < count:
            item = self._item(self.cursor)
            self.cursor += 1
            if allowed is None or allowed[item]:
                taken.append(item)
        return taken

    def _item(self, position: int) -> int:
        number, place = divmod(position, self.size)
        if self._pass[0] != number:
            shuffled = torch.randperm(self.size, generator=generator(*self._seed, "pass", number)).tolist()
            self._pass = (number, shuffled)
        return self._pass[1][place]
