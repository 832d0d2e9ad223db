"""Lever-Plus's checkpoint files: v2 Lightning `.ckpt`, v3 `.pt`, and v3 under v2's names (`*_v2format.ckpt`)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from shotsmith.compat.checkpoints.names import Weights, network_of, with_input_projection, with_layer_numbers
from shotsmith.compat.checkpoints.torch_archive import read_archive, read_tensors, write_archive
from shotsmith.compat.restricted_pickle import Opaque, StoredTensor
from shotsmith.errors import CheckpointError
from shotsmith.runs import PHASES, Phase

FileForm = Literal["v3", "v2format"]
Figures = dict[str, int | float | str | None]

PREFIX = "lever_lm.pointer_selector."
"""How the names of v2 begin."""

FROZEN = frozenset({"img_model", "sen_model", "clip", "clip_model", "vision_model", "text_model"})
"""Parts of the names of CLIP's weights in a v2 file. CLIP was not trained, and the embeddings stand for it."""

_PHASE_NAMES: Mapping[str, Phase] = {"sft": "supervised", **{phase: phase for phase in PHASES}}
_V3 = ("epoch", "phase", "model_state_dict", "kl_beta", "metrics")
_OF_V2 = ("epoch", "global_step", "state_dict", "phase", "kl_beta", "metrics", "pytorch-lightning_version")
_LIGHTNING = "2.0.0"
"""The version its converter gave; files without one are not loaded by Lightning."""
_EPOCH_IN_NAME = re.compile(r"_epoch([0-9]{1,9})(?![0-9])")


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file holds of a policy. Names are v3's, with the layers numbered."""

    weights: Weights
    epoch: int | None
    """From 1, as the files are named. In the files, epochs are counted from 0: grpo_epoch2.pt holds 1."""
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
    archive = read_archive(file)
    value = archive.value
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise CheckpointError("is not a checkpoint: it holds no fields by name", file=file)
    forms = [key for key in ("model_state_dict", "state_dict") if key in value]
    if len(forms) != 1:
        listed = ", ".join(sorted(value)) or "nothing"
        raise CheckpointError(
            f"is not a checkpoint of Lever-Plus: it needs either 'model_state_dict' (v3) or 'state_dict' (v2), "
            f"and has {listed}",
            file=file,
        )
    v2, stored = forms == ["state_dict"], value[forms[0]]
    if not isinstance(stored, dict) or not stored:
        raise CheckpointError("is not a mapping of names to weights", file=file, field=forms[0])
    behind = [name for name in stored if isinstance(name, str) and name.startswith(tuple(leave))] if leave else []
    frozen = [name for name in stored if v2 and name not in behind and _is_frozen(name)]
    named = _tensors({name: stored[name] for name in stored if name not in {*behind, *frozen}}, forms[0], file)
    known = _OF_V2 if v2 else _V3
    metrics, strange = _metrics(value.get("metrics"), file)
    rest = sorted(key for key in value.keys() - set(known) if value[key] not in ({}, [], (), None))
    return Stored(
        weights=_fitting(_without_prefix(named, file) if v2 else named, file),
        epoch=_epoch(value.get("epoch"), file),
        phase=_phase(value.get("phase"), file),
        beta=_beta(value.get("kl_beta"), file),
        metrics=metrics,
        left=(*rest, *strange, *behind, *_counted(frozen)),
    )


def write_stored(file: Path, stored: Stored, form: FileForm) -> None:
    """Write a file in one of its forms. `global_step` is not known and 0."""
    epoch = None if stored.epoch is None else stored.epoch - 1
    told = {"epoch": epoch, "phase": stored.phase, "kl_beta": stored.beta, "metrics": dict(stored.metrics)}
    weights = {name: value.contiguous().clone() for name, value in stored.weights.items()}
    if form == "v3":
        write_archive(file, {**told, "model_state_dict": weights})
        return
    prefixed = {PREFIX + name: value for name, value in weights.items()}
    lightning = {"global_step": 0, "pytorch-lightning_version": _LIGHTNING, "hyper_parameters": {}}
    write_archive(file, {**told, **lightning, "state_dict": prefixed})


def _tensors(stored: Mapping[Any, Any], name: str, file: Path) -> Weights:
    size = file.stat().st_size
    faults, fitting = [], {}
    for key, tensor in stored.items():
        if not isinstance(key, str) or not isinstance(tensor, StoredTensor):
            faults.append(f"{key if isinstance(key, str | int) else type(key).__name__} is no tensor")
        elif tensor.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            faults.append(f"{key} is of {tensor.dtype}, which float32 cannot hold")
        elif tensor.numel * tensor.dtype.itemsize > size:
            faults.append(f"{key} has the shape {tensor.size}, larger than the file")
        else:
            fitting[key] = tensor
    weights = {
        key: value.float().clone(memory_format=torch.contiguous_format)
        for key, value in read_tensors(file, fitting).items()
    }
    faults += [
        f"{key} holds values that are not finite" for key, value in weights.items() if not value.isfinite().all()
    ]
    if faults:
        raise CheckpointError(f"cannot be used: {'; '.join(faults)}", file=file, field=name)
    return weights


def _is_frozen(name: object) -> bool:
    return isinstance(name, str) and not name.startswith(PREFIX) and not FROZEN.isdisjoint(name.split(".")[:-1])


def _counted(names: Sequence[str]) -> list[str]:
    """Weights of CLIP, one entry for each model of theirs: there are hundreds of weights."""
    starts = Counter(".".join(name.split(".")[:2]) for name in names)
    return [f"{start} ({count} frozen weights)" for start, count in starts.items()]


def _without_prefix(named: Weights, file: Path) -> Weights:
    strange = [name for name in named if not name.startswith(PREFIX)]
    if strange:
        raise CheckpointError(
            f"these weights are not of the pointer network ({PREFIX}*); what is not needed can be left behind by "
            f"its beginning (convert --leave): {_listed(strange)}",
            file=file,
        )
    return {name.removeprefix(PREFIX): value for name, value in named.items()}


def _fitting(named: Weights, file: Path) -> Weights:
    numbered = with_layer_numbers(named)
    if twice := sorted(name for name, other in numbered.items() if name != other and other in named):
        raise CheckpointError(f"these stand under their one-layer name and another: {_listed(twice)}", file=file)
    weights = with_input_projection({numbered[name]: value for name, value in named.items()})
    _, faults = network_of({name: tuple(value.shape) for name, value in weights.items()})
    if faults:
        raise CheckpointError(f"does not fit the published pointer network: {'; '.join(faults)}", file=file)
    return weights


def _epoch(value: object, file: Path) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value < 2**31:
        raise CheckpointError(f"is not the number of an epoch: {_shown(value)}", file=file, field="epoch")
    named = _EPOCH_IN_NAME.search(file.name)
    # Versions 0.1 and 0.2 of Shotsmith wrote the number of the file's name into the file.
    return value if named and int(named[1]) == value else value + 1


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
    if isinstance(value, Opaque):
        return value.name
    text = repr(value) if isinstance(value, int | float | str | bool) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:60]}..."


def _listed(names: list[str]) -> str:
    return ", ".join(names)
