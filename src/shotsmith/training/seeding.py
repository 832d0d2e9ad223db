"""What makes training repeatable: generators that follow from seed, phase and epoch, and sums in a fixed order."""

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


@contextlib.contextmanager
def repeatable() -> Iterator[None]:
    """Have PyTorch add gradients in a fixed order, whatever the number of threads.

    By default several threads of a CPU add the gradients of an indexed tensor in the order in which they come. The last
    bits then differ from run to run, and after some epochs the policy does. An operation that has no such order, as
    some have on a GPU, warns.
    """
    before, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)
