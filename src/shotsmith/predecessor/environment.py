"""The environment variables of the predecessor's scripts, and what each of them is in a recipe.

A variable that looks like one of them and is none, or has a value that is not understood, is an error: it would
otherwise change nothing without a word.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from typing import get_args

from shotsmith.errors import InputError
from shotsmith.recipe.rewards import RewardMode

Setting = tuple[str, str]
"""The full name of a setting, and its value as YAML."""


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


def _natural(text: str) -> str:
    return _whole(text, 0)


def _count(text: str) -> str:
    return _whole(text, 1)


def _positive(text: str) -> str:
    return _number(text, zero=False)


def _weight(text: str) -> str:
    return _number(text, zero=True)


def _truth(text: str) -> str:
    truths = {"true": "true", "1": "true", "yes": "true", "false": "false", "0": "false", "no": "false"}
    if text.lower() not in truths:
        raise ValueError("true or false")
    return truths[text.lower()]


def _estimator(text: str) -> str:
    return "rank" if _truth(text) == "true" else "group"


def _mode(text: str) -> str:
    modes = [mode for mode in get_args(RewardMode) if mode != "weighted_sum"]
    if text not in modes:
        near = difflib.get_close_matches(text, modes, n=1, cutoff=0.0)[0]
        raise ValueError(f"one of {', '.join(modes)} (the nearest is {near})")
    return text


SETTINGS: Mapping[str, tuple[str, Callable[[str], str], str]] = {
    "USE_RANK_ADVANTAGE": ("grpo.advantage.estimator", _estimator, "false"),
    "GRPO_LR": ("grpo.learning_rate", _positive, "5e-6"),
    "GRPO_EPOCHS": ("grpo.epochs", _natural, "0"),
    "KL_BETA": ("grpo.beta", _weight, "0.15"),
    "RCE_EPOCHS": ("rce.epochs", _natural, "5"),
    "RCE_LR": ("rce.learning_rate", _positive, "1e-4"),
    "RCE_USE_RAW_REWARD": ("rce.raw_rewards", _truth, "true"),
    "REWARD_MODE": ("reward.mode", _mode, "hard_plus_soft"),
    "HARD_WEIGHT": ("reward.hard_weight", _positive, "1.0"),
    "SOFT_WEIGHT": ("reward.soft_weight", _positive, "1.0"),
    "REL_WEIGHT": ("reward.relevance_weight", _positive, "0.1"),
    "NUM_LAYERS": ("policy.layers", _natural, "1"),
    "FREEZE_BACKBONE_IN_GRPO": ("grpo.freeze_projections", _truth, "false"),
    "REQUIRE_POSITIVE_QUERY": ("rollouts.require_right", _truth, "false"),
    "BATCH_SIZE": ("", _count, "1"),
}
"""Variable -> the setting it is, how its value is read, and what it is where it is not set, as in its script.

BATCH_SIZE is two settings: the queries of a step of RCE and of GRPO.
"""

PLACES = ("OKVQA_PATH", "COCO_PATH", "RESULT_DIR", "RL_DATA_PATH", "LEVER_LM_CHECKPOINT_PATH")
"""Variables that name files and folders."""

BUILTIN = "SHOTSMITH_BUILTIN"
"""Set to 1 it puts the built-in world and models in the place of OK-VQA, Qwen2.5-VL and CLIP."""

NOT_NEEDED = ("LEVER_LM_CHECKPOINT_VERSION", "CHECKPOINT_PATH", "VQAV2_PATH", "SKIP_FALLBACK_REWARD")
"""Variables of its scripts that change nothing here: a checkpoint says itself what it is, no other data set is read,
and rewards scored by a fallback are never trained on."""

_STARTS = (
    *("GRPO_", "RCE_", "KL_", "REWARD_", "HARD_", "SOFT_", "REL_", "LEVER_LM_", "SHOTSMITH_"),
    *("USE_RANK", "NUM_LAYER", "FREEZE_BACKBONE", "REQUIRE_POSITIVE", "SKIP_FALLBACK"),
)
_ALIKE = 0.8
"""From this likeness to a known name on, another name is taken for a slip of the pen."""


def settings_of(environment: Mapping[str, str]) -> list[Setting]:
    """The settings that the variables stand for, unset ones by their defaults.

    Raises InputError listing every variable that is not understood, with the nearest that is, and every value.
    """
    faults, found = misspelled(environment), []
    for name, (setting, read, default) in SETTINGS.items():
        text = environment.get(name, default).strip()
        try:
            value = read(text)
        except ValueError as wanted:
            faults.append(f"{name} is '{environment[name]}', not {wanted}")
            continue
        found += [(setting, value)] if setting else _batch(value)
    faults += _of_skipping(environment)
    if faults:
        raise InputError(f"environment: {'; '.join(faults)}")
    return found


def check_names(environment: Mapping[str, str]) -> None:
    """Raise InputError where a variable looks like one of the predecessor's and is none."""
    if faults := misspelled(environment):
        raise InputError(f"environment: {'; '.join(faults)}")


def misspelled(environment: Mapping[str, str]) -> list[str]:
    """What is wrong with the names of variables: those that look like known ones, each with the nearest."""
    known = [*SETTINGS, *PLACES, BUILTIN, *NOT_NEEDED]
    faults = []
    for name in sorted(environment.keys() - set(known)):
        looks = name.upper().startswith(_STARTS)
        if near := difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.0 if looks else _ALIKE):
            faults.append(f"{name} is not a variable of these scripts (did you mean {near[0]}?)")
    return faults


def is_builtin(environment: Mapping[str, str]) -> bool:
    """Whether the built-in world and models are asked for. Raises InputError where the value is not understood."""
    try:
        return _truth(environment.get(BUILTIN, "0")) == "true"
    except ValueError as wanted:
        raise InputError(f"environment: {BUILTIN} is '{environment[BUILTIN]}', not 1 or 0") from wanted


def _batch(value: str) -> list[Setting]:
    return [("rce.queries_per_step", value), ("grpo.queries_per_step", value)]


def _of_skipping(environment: Mapping[str, str]) -> list[str]:
    """Rows scored by a fallback are no truth; there is no setting to train on them."""
    try:
        skipped = _truth(environment.get("SKIP_FALLBACK_REWARD", "true"))
    except ValueError as wanted:
        return [f"SKIP_FALLBACK_REWARD is '{environment['SKIP_FALLBACK_REWARD']}', not {wanted}"]
    return [] if skipped == "true" else ["SKIP_FALLBACK_REWARD can only be true: such rewards are never trained on"]
