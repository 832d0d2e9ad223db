"""Settings of earlier versions that every run now has at one value: their former default.

Recipes, runs and checkpoints that give a retired setting this value are read as before; another value is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

RETIRED: Mapping[str, Mapping[str, object]] = {
    "OptimizerSettings": {"weight_decay": 0.01, "max_grad_norm": 1.0},
    "SupervisedSettings": {"label_smoothing": 0.0},
    "RolloutSettings": {"temperature": 1.0, "similar": True},
    "RceSettings": {"top_1": False},
    "GrpoSettings": {"dual_clip": None},
    "SamplingSettings": {"recorded_share": 0.5, "max_importance_weight": 2.0},
    "KlSettings": {
        **{"target": 0.1, "horizon": 10_000.0, "factor": 1.5, "low": 0.01, "high": 0.1},
        **{"min_beta": 0.001, "max_beta": 10.0},
    },
    "ReferenceSettings": {"sync_steps": 0, "mixup_alpha": 0.6},
    "CurriculumSettings": {"measure": "contrast"},
    "PolicySettings": {"memory_layers": 2},
    "IndexSettings": {"refresh": 50},
    "EvaluationSettings": {"oracle_nearest": 64, "fixed_queries": 32, "confidence": 0.95},
}
"""Section (its class) -> retired setting -> the value that can be given."""


def without_retired(section: type, value: dict[str, Any]) -> dict[str, Any]:
    """The settings of a section without retired ones. Raises ValueError for one that has another value."""
    retired = {name: only for kind in section.__mro__ for name, only in RETIRED.get(kind.__name__, {}).items()}
    for name in retired.keys() & value.keys():
        given, only = value[name], retired[name]
        if given != only or isinstance(given, bool) is not isinstance(only, bool):
            told = "null" if only is None else str(only).lower() if isinstance(only, bool) else only
            raise ValueError(f"'{name}' is no setting any more: its former default is all that can be given ({told})")
    return {name: given for name, given in value.items() if name not in retired}


_PLACES: Mapping[str, str] = {
    **{"weight_decay": "final_learning_rate_share", "max_grad_norm": "average_decay"},
    **{"label_smoothing": "best_by", "top_1": "raw_rewards", "dual_clip": "epsilon_high"},
    **{"recorded_share": "source", "max_importance_weight": "distinct"},
    **{"target": "controller", "horizon": "target", "factor": "horizon", "low": "factor", "high": "low"},
    **{"min_beta": "high", "max_beta": "min_beta", "sync_steps": "policy", "mixup_alpha": "sync_steps"},
    **{"measure": "kind"},
}
"""Retired setting of a training phase -> the setting that it stood after."""

_LATER: Mapping[str, object] = {"candidates": 1, "probe": 0}
"""Settings that training phases have had since, with the value of all that was trained before."""


def former_json(settings: BaseModel) -> bytes:
    """The settings of a training phase as JSON, with retired ones and without later ones: the same in every version."""
    return to_json(_with_retired(settings))


def _with_retired(section: BaseModel) -> dict[str, Any]:
    whole = {
        name: _with_retired(value) if isinstance(value, BaseModel) else value
        for name, value in ((name, getattr(section, name)) for name in type(section).model_fields)
        if name not in _LATER or value != _LATER[name]
    }
    for kind in reversed(type(section).__mro__):
        for name, only in RETIRED.get(kind.__name__, {}).items():
            items, after = list(whole.items()), list(whole).index(_PLACES[name]) + 1
            whole = dict([*items[:after], (name, only), *items[after:]])
    return whole
