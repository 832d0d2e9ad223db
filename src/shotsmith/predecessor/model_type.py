"""LEVER_LM_MODEL_TYPE and the variables that belong to one of its types, as settings of the policy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from shotsmith.predecessor.values import Setting, count
from shotsmith.recipe.presets import PRESETS

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

NAMES = ("LEVER_LM_MODEL_TYPE", *FAMILY, "DISABLE_STOP")


def policy_settings(environment: Mapping[str, str], truth: Callable[[str], str]) -> tuple[list[Setting], list[str]]:
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
