"""Cutting groups to their best rollouts. It takes the contrast away that GRPO learns from."""

from __future__ import annotations

import torch


def kept_in_epoch(epoch: int, schedule: tuple[int, ...]) -> int | None:
    """How many rollouts of a group are kept in `epoch` (from 1): the last number stays; None keeps whole groups."""
    return schedule[min(epoch, len(schedule)) - 1] if schedule else None


def keep_top(rewards: torch.Tensor, valid: torch.Tensor, number: int) -> torch.Tensor:
    """[B, G] bool: the `number` valid rollouts of highest reward in each group; of equal ones the earlier."""
    best_first = rewards.masked_fill(~valid, -torch.inf).argsort(dim=1, descending=True, stable=True)
    place = best_first.argsort(dim=1)
    return (place < number) & valid
