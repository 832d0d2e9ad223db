"""The predecessor's checkpoint files: v2 Lightning `.ckpt`, v3 `.pt`, and v3 under v2's names (`*_v2format.ckpt`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from shotsmith.checkpoints.predecessor_names import Weights, network_of, with_layer_numbers
from shotsmith.checkpoints.torch_archive import read_archive, write_archive
from shotsmith.errors import CheckpointError
from shotsmith.runs import PHASES, Phase

FileForm = Literal["v3", "v2format"]
Figures = dict[str, int | float | str | None]

PREFIX = "lever_lm.pointer_selector."
"""How the names of v2 begin."""

_PHASE_NAMES: Mapping[str, Phase] = {"sft": "supervised", **{phase: phase for phase in PHASES}}
_V3 = ("epoch", "phase", "model_state_dict", "kl_beta", "metrics")
_OF_V2 = ("epoch", "global_step", "state_dict", "phase", "kl_beta", "metrics", "pytorch-lightning_version")
_LIGHTNING = "2.0.0"
"""The version its converter gave; files without one are not loaded by Lightning."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file holds of a policy. Names are v3's, with the layers numbered."""

    weights: Weights
    epoch: int | None
    phase: Phase | None
    beta: float | None = None
    metrics: Figures = field(default_factory=dict)
    left: tuple[str, ...] = ()
    """What else is in the file and says nothing of the policy."""


def read_stored(file: Path, leave: Sequence[str] = ()) -> Stored:
    """Read a file of any of the three forms. Weights whose names begin with one of `leave` are left behind.

    Raises CheckpointError where it is damaged or of no known form, or listing every weight that does not fit the
    network.
    """
    value = read_archive(file)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise CheckpointError("is not a checkpoint: it holds no fields by name", file=file)
    forms = [key for key in ("model_state_dict", "state_dict") if key in value]
    if len(forms) != 1:
        listed = ", ".join(sorted(value)) or "nothing"
        raise CheckpointError(
            f"is not a checkpoint of the predecessor: it needs either 'model_state_dict' (v3) or 'state_dict' (v2), "
            f"and has {listed}",
            file=file,
        )
    stored = value[forms[0]]
    behind = _begin_with(stored, tuple(leave)) if isinstance(stored, dict) else []
    if behind:
        stored = {name: tensor for name, tensor in stored.items() if name not in behind}
    named = _tensors(stored, forms[0], file)
    v2 = forms == ["state_dict"]
    known = _OF_V2 if v2 else _V3
    metrics, strange = _metrics(value.get("metrics"), file)
    return Stored(
        weights=_fitting(_without_prefix(named, file) if v2 else named, file),
        epoch=_epoch(value.get("epoch"), file),
        phase=_phase(value.get("phase"), file),
        beta=_beta(value.get("kl_beta"), file),
        metrics=metrics,
        left=(*sorted(key for key in value.keys() - set(known) if value[key] not in ({}, [], None)), *strange, *behind),
    )


def write_stored(file: Path, stored: Stored, form: FileForm) -> None:
    """Write a file in one of its forms. `global_step` is not known and 0."""
    told = {"epoch": stored.epoch, "phase": stored.phase, "kl_beta": stored.beta, "metrics": dict(stored.metrics)}
    weights = {name: value.contiguous().clone() for name, value in stored.weights.items()}
    if form == "v3":
        write_archive(file, {**told, "model_state_dict": weights})
        return
    prefixed = {PREFIX + name: value for name, value in weights.items()}
    lightning = {"global_step": 0, "pytorch-lightning_version": _LIGHTNING, "hyper_parameters": {}}
    write_archive(file, {**told, **lightning, "state_dict": prefixed})


def _tensors(value: object, name: str, file: Path) -> Weights:
    if not isinstance(value, dict) or not value:
        raise CheckpointError("is not a mapping of names to weights", file=file, field=name)
    size = file.stat().st_size
    faults, weights = [], {}
    for key, tensor in value.items():
        if not isinstance(key, str) or type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            faults.append(f"{key} is no tensor")
        elif tensor.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            faults.append(f"{key} is of {tensor.dtype}, which float32 cannot hold")
        elif tensor.numel() * tensor.element_size() > size:
            faults.append(f"{key} has the shape {tuple(tensor.shape)}, larger than the file")
        elif not tensor.isfinite().all():
            faults.append(f"{key} holds values that are not finite")
        else:
            weights[key] = tensor.detach().float().clone(memory_format=torch.contiguous_format)
    if faults:
        raise CheckpointError(f"cannot be used: {'; '.join(faults)}", file=file, field=name)
    return weights


def _begin_with(stored: Mapping[Any, Any], leave: tuple[str, ...]) -> list[str]:
    return [name for name in stored if isinstance(name, str) and name.startswith(leave)] if leave else []


def _without_prefix(named: Weights, file: Path) -> Weights:
    strange = [name for name in named if not name.startswith(PREFIX)]
    if strange:
        raise CheckpointError(
            f"these weights are not of the pointer network ({PREFIX}*); frozen ones of CLIP can be left behind by "
            f"their beginning (convert --leave): {_listed(strange)}",
            file=file,
        )
    return {name.removeprefix(PREFIX): value for name, value in named.items()}


def _fitting(named: Weights, file: Path) -> Weights:
    numbered = with_layer_numbers(named)
    if twice := sorted(name for name, other in numbered.items() if name != other and other in named):
        raise CheckpointError(f"these stand under their one-layer name and another: {_listed(twice)}", file=file)
    weights = {numbered[name]: value for name, value in named.items()}
    _, faults = network_of({name: tuple(value.shape) for name, value in weights.items()})
    if faults:
        raise CheckpointError(f"does not fit the published pointer network: {'; '.join(faults)}", file=file)
    return weights


def _epoch(value: object, file: Path) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise CheckpointError(f"is not the number of an epoch: {_shown(value)}", file=file, field="epoch")
    return value


def _phase(value: object, file: Path) -> Phase | None:
    if value is None:
        return None
    if not isinstance(value, str) or value.lower() not in _PHASE_NAMES:
        known = ", ".join(_PHASE_NAMES)
        raise CheckpointError(f"is none of {known}: {_shown(value)}", file=file, field="phase")
    return _PHASE_NAMES[value.lower()]


def _beta(value: object, file: Path) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or not _is_plain(value):
        raise CheckpointError(f"is not a finite number: {_shown(value)}", file=file, field="kl_beta")
    return float(value)


def _metrics(value: Any, file: Path) -> tuple[Figures, list[str]]:
    """The figures, and the names of those that a manifest cannot hold."""
    if value is None:
        return {}, []
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise CheckpointError("is not a mapping of names to figures", file=file, field="metrics")
    kept = {name: figure for name, figure in value.items() if _is_plain(figure)}
    return kept, [f"metrics.{name}" for name in value if name not in kept]


def _is_plain(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < 2**63
    return value is None or isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, int | float | str | bool) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:60]}..."


def _listed(names: list[str]) -> str:
    return ", ".join(names)
