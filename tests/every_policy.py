"""Every value of every setting of a policy, and every preset: what the contract tests run on.

A new part is picked up as soon as `PolicySettings` names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args, get_origin

import pytest
import torch
from pydantic import ValidationError
from small_policy import NETWORK, SMALL

from shotsmith.recipe import PRESETS, PolicySettings, policy

GAINS = tuple(policy.GAINS)
PLAIN = SMALL | {"heads": 2}
BEFORE = NETWORK | {"heads": 2}
EVERYTHING = SMALL | {
    "heads": 4,
    "layers": 2,
    "candidate_encoder": "self_attention",
    "feed_forward": True,
    "memory": "gru",
    "step_embedding": True,
    "scorer": "bilinear",
    "gains": GAINS,
    "decoding": "two_stage",
    "length": "stop",
}


def values_of_every_setting() -> Iterator[dict[str, object]]:
    yield {}
    for name, field in PolicySettings.model_fields.items():
        if get_origin(field.annotation) is Literal:
            yield from ({name: value} for value in get_args(field.annotation))
        elif field.annotation is bool:
            yield from ({name: value} for value in (False, True))
    yield from ({"gains": (gain,)} for gain in GAINS)
    yield from ({"layers": layers} for layers in (0, 3))
    yield {"heads": 1}


def every_combination() -> dict[str, PolicySettings]:
    found = {}
    for label, base in (("plain", PLAIN), ("before", BEFORE), ("everything", EVERYTHING)):
        for change in values_of_every_setting():
            try:
                settings = PolicySettings(**(base | change))
            except ValidationError:
                continue  # parallel decoding goes with few parts
            if settings not in found.values():
                found["-".join([label, *(f"{name}={value}" for name, value in change.items())])] = settings
    return found | {preset: PolicySettings(preset=preset, **SMALL) for preset in PRESETS}


COMBINATIONS = every_combination()
on_every_combination = pytest.mark.parametrize("name", COMBINATIONS)


def close(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
