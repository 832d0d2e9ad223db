"""Randomness that needs no saving: every epoch's generators follow from the seed, the phase and the epoch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from shotsmith.files import digest


def derived_seed(*parts: str | int) -> int:
    """A 63-bit seed that follows from `parts` alone."""
    return int(digest(*(str(part) for part in parts))[:16], 16) >> 1


def generator(*parts: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator seeded by `parts`."""
    return torch.Generator(device).manual_seed(derived_seed(*parts))


@contextlib.contextmanager
def seeded(*parts: str | int, device: torch.device) -> Iterator[None]:
    """Seed the global generators (dropout draws from them) by `parts`, and restore them afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derived_seed(*parts))
        yield
