"""How values of the predecessor's variables are read: each function gives a setting's value as YAML.

All raise ValueError saying what is wanted.
"""

from __future__ import annotations

import difflib
import math
from typing import get_args

from shotsmith.recipe.rewards import RewardMode

Setting = tuple[str, str]
"""The full name of a setting, and its value as YAML."""


def natural(text: str) -> str:
    """A whole number from 0 on."""
    return _whole(text, 0)


def count(text: str) -> str:
    """A whole number from 1 on."""
    return _whole(text, 1)


def positive(text: str) -> str:
    """A number above 0."""
    return _number(text, zero=False)


def weight(text: str) -> str:
    """A number from 0 on."""
    return _number(text, zero=True)


def truth(text: str) -> str:
    """True or false."""
    truths = {"true": "true", "1": "true", "yes": "true", "false": "false", "0": "false", "no": "false"}
    if text.lower() not in truths:
        raise ValueError("true or false")
    return truths[text.lower()]


def estimator(text: str) -> str:
    """USE_RANK_ADVANTAGE as an estimator of advantages."""
    return "rank" if truth(text) == "true" else "group"


def mode(text: str) -> str:
    """REWARD_MODE."""
    modes = [mode for mode in get_args(RewardMode) if mode != "weighted_sum"]
    if text not in modes:
        near = difflib.get_close_matches(text, modes, n=1, cutoff=0.0)[0]
        raise ValueError(f"one of {', '.join(modes)} (the nearest is {near})")
    return text


def _whole(text: str, least: int) -> str:
    if not text.isascii() or not text.isdecimal() or int(text) < least:
        raise ValueError(f"a whole number, at least {least}")
    return str(int(text))


def _number(text: str, *, zero: bool) -> str:
    wanted = "a number, at least 0" if zero else "a number above 0"
    try:
        value = float(text)
    except ValueError:
        raise ValueError(wanted) from None
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise ValueError(wanted)
    return repr(value)
