"""Repeatable training: random generators, the order of queries and the order of sums follow from the seed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from shotsmith.errors import InputError
from shotsmith.files import digest


def derived_seed(*parts: str | int) -> int:
    """A 63-bit seed computed from `parts`."""
    return int(digest(*(str(part) for part in parts))[:16], 16) >> 1


def generator(*parts: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator seeded by `parts`."""
    return torch.Generator(device).manual_seed(derived_seed(*parts))


@contextlib.contextmanager
def seeded(*parts: str | int, device: torch.device) -> Iterator[None]:
    """Seed the global generators, from which dropout draws, by `parts`, and restore them afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derived_seed(*parts))
        yield


@contextlib.contextmanager
def repeatable() -> Iterator[None]:
    """Make PyTorch add gradients in a fixed order, whatever the number of threads.

    By default the threads of a CPU add the gradients of an indexed tensor in the order of arrival. The last bits then
    differ between runs, and so does the policy after some epochs. An operation without a fixed order, such as some GPU
    operations, warns.
    """
    before, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)


class QueryOrder:
    """An endless stream over `size` items, one shuffled pass after another.

    The only state is `cursor`, the number of items passed so far.
    """

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
