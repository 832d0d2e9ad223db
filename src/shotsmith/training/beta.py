"""The coefficient of the KL divergence: fixed, or moved by a controller after an update."""

from __future__ import annotations

import math
from collections.abc import Callable

from shotsmith.recipe import KlSettings

MAX_ERROR = 0.2
"""The proportional controller takes no relative error beyond +- this for true."""


def next_beta(beta: float, kl: float, sequences: int, settings: KlSettings) -> float:
    """The coefficient after an update with divergence `kl` on `sequences` sequences.

    A controlled one stays within [min_beta, max_beta]. A KL that is not finite belongs to an update that was skipped:
    it moves nothing.
    """
    if settings.controller == "fixed" or not math.isfinite(kl):
        return beta
    moved = CONTROLLERS[settings.controller](beta, kl, sequences, settings)
    return min(max(moved, settings.min_beta), settings.max_beta)


def _proportional(beta: float, kl: float, sequences: int, settings: KlSettings) -> float:
    """In proportion to the relative error (Ziegler et al., arXiv 1909.08593, section 2.2; as in verl)."""
    error = min(max(kl / settings.target - 1, -MAX_ERROR), MAX_ERROR)
    return beta * (1 + error * sequences / settings.horizon)


def _multiplicative(beta: float, kl: float, _sequences: int, settings: KlSettings) -> float:
    """By a factor, up above `high` and down below `low`; after every update, which soon takes it to a bound."""
    if kl > settings.high:
        return beta * settings.factor
    return beta / settings.factor if kl < settings.low else beta


CONTROLLERS: dict[str, Callable[[float, float, int, KlSettings], float]] = {
    "proportional": _proportional,
    "multiplicative": _multiplicative,
}
"""(beta, kl, sequences, settings) -> beta, not yet bounded."""
