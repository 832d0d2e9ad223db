"""The state of a phase between two epochs, in one file that is replaced atomically."""

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
from shotsmith.files import digest, replacing

_POLICY, _OPTIMIZER, _FURTHER = "policy.", "optimizer.", "further."

Tensors = Mapping[str, torch.Tensor]


def save_state(
    file: Path,
    policy: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    values: Mapping[str, object],
    further: Tensors | None = None,
) -> None:
    """Write weights, optimizer state, `further` tensors and `values` (what JSON can hold) as one safetensors file."""
    tensors = _prefixed(_POLICY, policy.state_dict()) | _prefixed(_FURTHER, further or {})
    for index, entries in optimizer.state_dict()["state"].items():
        tensors |= _prefixed(f"{_OPTIMIZER}{index}.", entries)
    with replacing(file) as temporary:
        encoded = json.dumps(values, allow_nan=False)
        save_file(tensors, temporary, metadata={"values": encoded, "digest": _digest(tensors, encoded)})


def load_state(file: Path, policy: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Restore weights and optimizer state, bit for bit, and return the further tensors.

    Raises CheckpointError if the tensors do not fit the policy or the file cannot be read.
    """
    tensors, _ = _read(file)
    load_weights(policy, _without(_POLICY, tensors), file)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in _without(_OPTIMIZER, tensors).items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    return _without(_FURTHER, tensors)


def state_values(file: Path) -> dict[str, Any]:
    """The values saved beside the weights."""
    _, metadata = _read(file)
    try:
        values: dict[str, Any] = json.loads(metadata["values"])
    except (KeyError, ValueError) as error:
        raise CheckpointError("holds no state of a training phase", file=file) from error
    return values


def _prefixed(prefix: str, tensors: Tensors) -> dict[str, torch.Tensor]:
    # Cloned: safetensors refuses tensors that share memory, as tied weights do.
    return {prefix + name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def _without(prefix: str, tensors: Tensors) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _read(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(file, framework="pt") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            metadata = stream.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"cannot be read: {error}", file=file) from error
    if "digest" in metadata and metadata["digest"] != _digest(tensors, metadata.get("values", "")):
        raise CheckpointError("is damaged: its content has changed since it was written", file=file)
    return tensors, metadata


def _digest(tensors: Tensors, values: str) -> str:
    """SHA-256 over the names, types, shapes and numbers of the tensors, and the values."""
    parts: list[str | bytes] = [values]
    for name, tensor in sorted(tensors.items()):
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        parts += [f"{name} {tensor.dtype} {tuple(tensor.shape)}", flat.view(torch.uint8).numpy().tobytes()]
    return digest(*parts)
