"""How many different sequences come of so many draws: the store answers all others."""

from __future__ import annotations

import math
from functools import lru_cache


def drawn_at_random(draws: float, candidates: int, length: int) -> float:
    """Expected number of different sequences among `draws` uniform ones of `length` out of so many candidates."""
    kinds = math.perm(candidates, length)
    if kinds == 1:
        return min(1.0, draws)
    return -kinds * math.expm1(draws * math.log1p(-1 / kinds))  # kinds * (1 - (1 - 1 / kinds) ** draws), for many kinds


@lru_cache(maxsize=100_000)
def drawn_alike(draws: float, alike: float) -> float:
    """Expected number of different sequences among `draws` of which any two agree with probability `alike`.

    Ewens' sampling formula (1972): after i draws the next is a new one with probability theta / (theta + i), where
    theta = (1 - alike) / alike. Between whole numbers of draws the value is interpolated.
    """
    if not alike:
        return draws
    theta = (1 - alike) / alike
    whole = int(draws)
    found = math.fsum(theta / (theta + before) if before else 1.0 for before in range(whole))
    return found + (draws - whole) * (theta / (theta + whole) if whole else 1.0)


def drawn_in_turn(visits: float, turns: int, draws: float, alike: float, before: float = 0.0) -> float:
    """The same, where each of `visits` draws `draws` sequences of one of `turns` lengths, taken in turn: of one length.

    Queries come in another order in every pass, so that how often one meets a certain length is binomial. `before`
    sequences of that length have been drawn already and count as found.
    """
    whole = int(visits)
    low, high = (_binomial_mean(number, turns, draws, alike, before) for number in (whole, whole + 1))
    return low + (visits - whole) * (high - low)


def _binomial_mean(visits: int, turns: int, draws: float, alike: float, before: float) -> float:
    return math.fsum(
        math.comb(visits, met)
        * (1 / turns) ** met
        * (1 - 1 / turns) ** (visits - met)
        * drawn_alike(before + met * draws, alike)
        for met in range(visits + 1)
    ) - drawn_alike(before, alike)
