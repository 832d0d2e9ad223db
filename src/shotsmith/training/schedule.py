"""The learning rate over the updates of a phase."""

from __future__ import annotations

import math
from collections.abc import Callable

from shotsmith.recipe import OptimizerSettings


def learning_rate_factor(update: int, total: int, settings: OptimizerSettings) -> float:
    """The share of the peak learning rate that update `update` (from 0) of `total` runs with.

    It rises linearly over `warmup_steps` updates, the last of which has the peak, and then follows the schedule so
    that update `total` - 1 has `final_learning_rate_share`, as has any beyond it.
    """
    peak = max(settings.warmup_steps, 1) - 1
    if update < peak:
        return (update + 1) / settings.warmup_steps
    progress = min(1.0, (update - peak) / (total - 1 - peak)) if total - 1 > peak else 0.0
    final = settings.final_learning_rate_share
    return final + (1 - final) * SCHEDULES[settings.schedule](progress)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _progress: 1.0,
    "linear": lambda progress: 1 - progress,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
}
"""Progress from the peak (0) to the last update (1) -> what is left of the fall."""
