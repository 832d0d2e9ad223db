"""The state of a phase between two epochs, in one file that is either whole or absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from shotsmith.checkpoints.native import load_weights
from shotsmith.errors import CheckpointError
from shotsmith.files import replacing

_POLICY, _OPTIMIZER = "policy.", "optimizer."


def save_state(
    file: Path, policy: torch.nn.Module, optimizer: torch.optim.Optimizer, values: Mapping[str, object]
) -> None:
    """Write weights, optimizer state and `values` (anything JSON can hold) as one safetensors file."""
    tensors = {_POLICY + name: tensor.contiguous() for name, tensor in policy.state_dict().items()}
    for index, entries in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{index}.{name}": tensor.contiguous() for name, tensor in entries.items()}
    with replacing(file) as temporary:
        save_file(tensors, temporary, metadata={"values": json.dumps(values, allow_nan=False)})


def load_state(file: Path, policy: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put weights and optimizer state back, bit for bit. Raises CheckpointError where they do not fit."""
    tensors, _ = _read(file)
    weights = {name.removeprefix(_POLICY): value for name, value in tensors.items() if name.startswith(_POLICY)}
    load_weights(policy, weights, file)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(_OPTIMIZER):
            index, name = key.removeprefix(_OPTIMIZER).split(".", 1)
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def state_values(file: Path) -> dict[str, Any]:
    """The values saved beside the weights."""
    _, metadata = _read(file)
    try:
        values: dict[str, Any] = json.loads(metadata["values"])
    except (KeyError, ValueError) as error:
        raise CheckpointError("holds no state of a training phase", file=file) from error
    return values


def _read(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(file, framework="pt") as stream:
            return {name: stream.get_tensor(name) for name in stream.keys()}, stream.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"cannot be read: {error}", file=file) from error
