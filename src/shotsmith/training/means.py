"""Means of metrics over the updates of an epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping


class Means:
    """Collects metrics; a name may be absent from some updates."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, metrics: Mapping[str, float]) -> None:
        """Note the metrics of one update."""
        for name, value in metrics.items():
            self._values.setdefault(name, []).append(value)

    def means(self) -> dict[str, float]:
        """The mean of each name over the updates that had it."""
        return {name: math.fsum(values) / len(values) for name, values in self._values.items()}
