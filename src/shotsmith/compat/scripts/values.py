"""How values of the scripts' variables are read: each function gives a setting's value as YAML.

All raise ValueError saying what is wanted. LEVER_LM_MODEL_TYPE and the variables of one of its types are read here.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping

from shotsmith.recipe import PRESETS
from shotsmith.recipe.rewards import MODES

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
    modes = list(MODES)
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


DEFAULT = "v3"


def _attention(text: str) -> str:
    if text.lower() not in ("additive", "bilinear"):
        raise ValueError("additive or bilinear")
    return text.lower()


def _at_least_two(text: str) -> str:
    if int(count(text)) < 2:
        raise ValueError("a whole number, at least 2")
    return count(text)


def _one(text: str) -> str:
    if text != "1":
        raise ValueError("1: slots have one layer here")
    return ""


def _not_here(_text: str) -> str:
    raise ValueError("a type of refinement that is known here: the best candidates pass one attention block")


FAMILY: Mapping[str, tuple[str, str, Callable[[str], str]]] = {
    "LEVER_LM_ATTENTION_TYPE": ("v4-5", "policy.scorer", _attention),
    "LEVER_LM_NUM_TOPICS": ("v4-6", "policy.topics", count),
    "LEVER_LM_DPP_RANK": ("v4-7", "policy.dpp_rank", count),
    "LEVER_LM_NUM_SLOT_LAYERS": ("v4-8", "", _one),
    "LEVER_LM_TOP_M": ("v4-9", "policy.top_m", _at_least_two),
    "LEVER_LM_REFINE_TYPE": ("v4-9", "", _not_here),
}
"""Variable -> the only type that has it, the setting it is, and how its value is read."""

MODEL_TYPE = ("LEVER_LM_MODEL_TYPE", *FAMILY, "DISABLE_STOP")


def policy_settings(environment: Mapping[str, str]) -> tuple[list[Setting], list[str]]:
    """The settings of the policy, and what is wrong with these variables. `environment` holds no empty values."""
    given = environment.get("LEVER_LM_MODEL_TYPE", DEFAULT)
    kind = re.sub(r"[._]", "-", given.lower())
    if kind not in PRESETS:
        return [], [f"LEVER_LM_MODEL_TYPE is '{given}', not one of {', '.join(PRESETS)}"]
    found, faults = [("policy.preset", kind)], []
    for name, (owner, setting, read) in FAMILY.items():
        if name not in environment:
            continue
        if kind != owner:
            faults.append(f"{name} has an effect with LEVER_LM_MODEL_TYPE={owner} only, which is {kind}")
            continue
        try:
            value = read(environment[name])
        except ValueError as wanted:
            faults.append(f"{name} is '{environment[name]}', not {wanted}")
            continue
        found += [(setting, value)] if setting else []
    try:
        if truth(environment.get("DISABLE_STOP", "false")) == "true":
            found.append(("policy.length", "fixed"))
    except ValueError as wanted:
        faults.append(f"DISABLE_STOP is '{environment['DISABLE_STOP']}', not {wanted}")
    return found, faults
