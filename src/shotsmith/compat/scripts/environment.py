"""The environment variables of Lever-Plus's scripts, and what each of them is in a recipe.

A variable that looks like one of them and is none, has a value that is not understood, or would have no effect is an
error: it would otherwise change nothing without a word. An empty value stands for the default.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from shotsmith.compat.scripts.values import (
    FAMILY,
    MODEL_TYPE,
    Setting,
    count,
    estimator,
    mode,
    natural,
    policy_settings,
    positive,
    truth,
    weight,
)
from shotsmith.errors import InputError

SETTINGS: Mapping[str, tuple[str, Callable[[str], str], str]] = {
    "USE_RANK_ADVANTAGE": ("grpo.advantage.estimator", estimator, "false"),
    "GRPO_LR": ("grpo.learning_rate", positive, "5e-6"),
    "GRPO_EPOCHS": ("grpo.epochs", natural, "0"),
    "KL_BETA": ("grpo.beta", weight, "0.15"),
    "CLIP_EPSILON": ("grpo.epsilon", positive, "0.2"),
    "RCE_EPOCHS": ("rce.epochs", natural, "5"),
    "RCE_LR": ("rce.learning_rate", positive, "1e-4"),
    "RCE_TEMP_START": ("rce.tau_start", positive, "2.0"),
    "RCE_TEMP_END": ("rce.tau_end", positive, "0.5"),
    "RCE_USE_RAW_REWARD": ("rce.raw_rewards", truth, "true"),
    "REWARD_MODE": ("reward.mode", mode, "hard_plus_soft"),
    "HARD_WEIGHT": ("reward.hard_weight", weight, "1.0"),
    "SOFT_WEIGHT": ("reward.soft_weight", weight, "1.0"),
    "REL_WEIGHT": ("reward.relevance_weight", weight, "0.1"),
    "NUM_LAYERS": ("policy.layers", natural, "1"),
    "FREEZE_BACKBONE_IN_GRPO": ("grpo.freeze_projections", truth, "false"),
    "REQUIRE_POSITIVE_QUERY": ("rollouts.require_right", truth, "false"),
    "BATCH_SIZE": ("rce.queries_per_step", count, "1"),
}
"""Variable -> the setting it is, how its value is read, and what it is where it is not set, as in its script."""

ALSO: Mapping[str, str] = {"CLIP_EPSILON": "grpo.epsilon_high", "BATCH_SIZE": "grpo.queries_per_step"}
"""Variables that are a second setting too."""

LEGACY: Mapping[str, str] = {"REWARD_ALPHA": "reward.soft_weight", "REWARD_BETA": "reward.hard_weight"}
"""The weights of quality and of a right answer in REWARD_MODE=legacy, in the place of SOFT_WEIGHT and HARD_WEIGHT."""

CLIP_ONLY = "USE_PPO_CLIP_ONLY"
"""With it the KL term is dropped, whatever KL_BETA is."""

RESUME = "RESUME_CKPT_PATH"
"""A checkpoint that training starts from, in the place of the supervised policy."""

SKIPPING = "SKIP_FALLBACK_REWARD"
"""Rows scored by a fallback are no truth; there is no setting to train on them."""

PLACES = (
    *("OKVQA_PATH", "OKVQA_TRAIN_PATH", "OKVQA_VAL_PATH", "VQAV2_PATH", "VQAV2_TRAIN_PATH", "VQAV2_VAL_PATH"),
    *("COCO_PATH", "COCO_TRAIN_ROOT", "COCO_VAL_ROOT", "KARPATHY_PATH"),
    *("RESULT_DIR", "RL_DATA_PATH", "CHECKPOINT_PATH", "LEVER_LM_CHECKPOINT_PATH"),
)
"""Variables that name files and folders."""

VERSION = "LEVER_LM_CHECKPOINT_VERSION"
"""What inference.sh calls the version: where it is set it must be the one that is tested."""

BUILTIN = "SHOTSMITH_BUILTIN"
"""Set to 1 it puts the built-in world and models in the place of OK-VQA, Qwen2.5-VL and CLIP."""

NOT_NEEDED = (VERSION, SKIPPING)
"""Variables that change no setting: their values are checked."""

NAMES = (
    *SETTINGS,
    *LEGACY,
    *MODEL_TYPE,
    *PLACES,
    *NOT_NEEDED,
    *(CLIP_ONLY, RESUME, BUILTIN),
)
"""Every variable that is understood."""

_STARTS = (
    *("GRPO_", "RCE_", "KL_", "REWARD_", "HARD_", "SOFT_", "REL_", "LEVER_LM_", "SHOTSMITH_", "CLIP_EPS", "RESUME_CK"),
    *("USE_RANK", "USE_PPO", "NUM_LAYER", "FREEZE_BACKBONE", "REQUIRE_POSITIVE", "SKIP_FALLBACK", "DISABLE_STOP"),
)
_ALIKE = 0.8
"""From this likeness to a known name on, another name is taken for a slip of the pen."""


def given(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables without those that are empty, each under its only name."""
    known = {name: text.strip() for name, text in environment.items() if text.strip()}
    for name in FAMILY:
        longer = name.replace("LEVER_LM_", "LEVER_LM_MODEL_TYPE_")
        if longer in known:
            known.setdefault(name, known.pop(longer))
    return known


def settings_of(environment: Mapping[str, str]) -> list[Setting]:
    """The settings that the variables stand for, unset ones by their defaults.

    Raises InputError listing every variable that is not understood, with the nearest that is, and every value.
    """
    known = given(environment)
    faults = misspelled(environment)
    found, wrong = policy_settings(known)
    faults += wrong
    for name, (setting, read, default) in SETTINGS.items():
        try:
            value = read(known.get(name, default))
        except ValueError as wanted:
            faults.append(f"{name} is '{known[name]}', not {wanted}")
            continue
        found += [(setting, value), *([(ALSO[name], value)] if name in ALSO else [])]
    for reader in (_legacy, _clip_only, _resumed, _skipping):
        try:
            found += reader(known)
        except ValueError as fault:
            faults.append(str(fault))
    if faults:
        raise InputError(f"environment: {'; '.join(faults)}")
    return found


def check_names(environment: Mapping[str, str]) -> None:
    """Raise InputError where a variable looks like one of Lever-Plus's and is none."""
    if faults := misspelled(environment):
        raise InputError(f"environment: {'; '.join(faults)}")


def misspelled(environment: Mapping[str, str]) -> list[str]:
    """What is wrong with the names of variables: those that look like known ones, each with the nearest."""
    faults = []
    for name in sorted(given(environment).keys() - set(NAMES)):
        looks = name.upper().startswith(_STARTS)
        if near := difflib.get_close_matches(name.upper(), NAMES, n=1, cutoff=0.0 if looks else _ALIKE):
            faults.append(f"{name} is not a variable of these scripts (did you mean {near[0]}?)")
    return faults


def is_builtin(environment: Mapping[str, str]) -> bool:
    """Whether the built-in world and models are asked for. Raises InputError where the value is not understood."""
    text = given(environment).get(BUILTIN, "0")
    try:
        return truth(text) == "true"
    except ValueError as wanted:
        raise InputError(f"environment: {BUILTIN} is '{text}', not 1 or 0") from wanted


def check_version(environment: Mapping[str, str], version: str) -> None:
    """Raise InputError where LEVER_LM_CHECKPOINT_VERSION names another version than the one that is tested."""
    told = given(environment).get(VERSION, version)
    if told != version:
        raise InputError(f"environment: {VERSION} is '{told}', and the version to test is '{version}'")


def _legacy(known: Mapping[str, str]) -> list[Setting]:
    """The weights of the mode `legacy`, which only it has."""
    weights = {name: float(_read(name, weight, known)) for name in LEGACY if name in known}
    if known.get("REWARD_MODE") != "legacy":
        if any(weights.values()):
            raise ValueError(f"{' and '.join(weights)} only have an effect with REWARD_MODE=legacy")
        return []
    for name in ("HARD_WEIGHT", "SOFT_WEIGHT"):
        if _read(name, weight, {name: SETTINGS[name][2], **known}) != SETTINGS[name][2]:
            raise ValueError(f"{name} has no effect with REWARD_MODE=legacy; {' and '.join(LEGACY)} have")
    return [(LEGACY[name], repr(value)) for name, value in weights.items()]


def _clip_only(known: Mapping[str, str]) -> list[Setting]:
    if CLIP_ONLY in known and _read(CLIP_ONLY, truth, known) == "true":
        return [("grpo.beta", "0.0"), ("grpo.kl.controller", "fixed")]
    return []


def _resumed(known: Mapping[str, str]) -> list[Setting]:
    if RESUME not in known:
        return []
    if not Path(known[RESUME]).exists():
        raise ValueError(f"{RESUME} is '{known[RESUME]}', and there is no such file")
    return [("start_from", json.dumps(known[RESUME])), ("supervised.epochs", "0")]


def _skipping(known: Mapping[str, str]) -> list[Setting]:
    if SKIPPING in known and _read(SKIPPING, truth, known) == "false":
        raise ValueError(f"{SKIPPING} can only be true: such rewards are never trained on")
    return []


def _read(name: str, read: Callable[[str], str], known: Mapping[str, str]) -> str:
    try:
        return read(known[name])
    except ValueError as wanted:
        raise ValueError(f"{name} is '{known[name]}', not {wanted}") from wanted
