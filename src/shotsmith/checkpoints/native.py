"""Shotsmith's own checkpoint: a folder of safetensors weights and a JSON manifest that says how to load them.

Readers of other formats are in a table.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load, save

from shotsmith.errors import CheckpointError, InputError
from shotsmith.files import read_json, replacing_folder, write_json
from shotsmith.plugins import Table
from shotsmith.policies.parts import STEPS
from shotsmith.policies.pointer import build_policy
from shotsmith.policies.protocol import Policy
from shotsmith.recipe import Count, EncoderSettings, PolicySettings, Settings, Shots, VLMSettings
from shotsmith.runs import Phase

WEIGHTS = "policy.safetensors"
MANIFEST = "manifest.json"

UNKNOWN = "unknown"
"""What a manifest says of an encoder, a VLM or a recipe that the checkpoint did not name."""


class Manifest(Settings):
    """What a checkpoint says about itself."""

    format: Literal[1] = 1
    """Version of this layout."""
    policy: PolicySettings
    """The network."""
    embedding_width: Count
    """D: the width of the embeddings it reads."""
    encoder: str
    """The encoder that made these embeddings."""
    vlm: str
    """Identity of the VLM it was trained for: model, prompt version, decoding."""
    encoder_settings: EncoderSettings | None = None
    """The encoder by name, and how its embeddings are joined; None in checkpoints of earlier versions."""
    vlm_settings: VLMSettings | None = None
    """The VLM by name, with its prompt; None in checkpoints of earlier versions."""
    shots: tuple[Shots, ...]
    """Lengths of the sequences it was trained to choose."""
    steps: Count = STEPS
    """Steps that parts which learn something for every step have room for."""
    recipe: str
    """Hash of the resolved recipe."""
    seed: int
    """Training seed."""
    phase: Phase
    """The phase that wrote it."""
    epoch: int
    """Epoch of that phase, from 1; 0 is the policy as the phase began."""
    metrics: dict[str, int | float | str | None] = Field(default_factory=dict)
    """The epoch's row of metrics, without times."""
    unknown: tuple[str, ...] = ()
    """Fields nothing is known of, as the policy was trained elsewhere; what stands in them has no meaning."""
    weights: str = ""
    """SHA-256 of the weights file; filled in when the checkpoint is written."""

    @model_validator(mode="before")
    @classmethod
    def _first_version(cls, value: object) -> object:
        """Policies of version 0.1 say neither how they start nor where the first choice stands: there was one way."""
        if not isinstance(value, dict) or not isinstance(policy := value.get("policy"), dict) or "start" in policy:
            return value
        return {**value, "policy": {"start": "random", "order": "inwards", **policy}}


def save_policy(folder: Path, policy: Policy, manifest: Manifest) -> None:
    """Write a checkpoint; the folder appears whole, in the place of any that was there."""
    described = manifest.policy, manifest.embedding_width, manifest.steps
    if (policy.settings, policy.embedding_width, policy.steps) != described:
        raise CheckpointError("the manifest describes another policy", file=folder)
    data = save({name: value.contiguous() for name, value in policy.state_dict().items()})
    if folder.exists() and not (folder / MANIFEST).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("is not empty, and not a checkpoint; choose another", file=folder)
    manifest = manifest.model_copy(update={"weights": hashlib.sha256(data).hexdigest()})
    with replacing_folder(folder) as temporary:
        with (temporary / WEIGHTS).open("wb") as stream:
            stream.write(data)
            os.fsync(stream.fileno())
        write_json(temporary / MANIFEST, manifest.model_dump(mode="json"))


READERS: Table[Callable[[Path], tuple[Policy, Manifest]]] = Table("shotsmith.checkpoints")
"""What reads files of other formats, by the ending of their names; raises CheckpointError as `load_policy` does."""


def read_policy(source: Path) -> tuple[Policy, Manifest]:
    """The policy of a checkpoint of any format, in eval mode, and its manifest.

    Raises CheckpointError as `load_policy`, and where no reader is known for files of that name.
    """
    if source.is_dir():
        return load_policy(source)
    ending = source.suffix.removeprefix(".")
    if not source.exists():
        raise CheckpointError("no such checkpoint", file=source)
    if ending not in READERS:
        known = ", ".join(f".{known}" for known in READERS) or "none"
        raise CheckpointError(f"is no folder, and no file of a known format (endings: {known})", file=source)
    return READERS[ending](source)


def load_policy(folder: Path) -> tuple[Policy, Manifest]:
    """The policy of a checkpoint, in eval mode, and its manifest.

    Raises CheckpointError, naming file and key, where anything is missing, damaged or does not fit.
    """
    manifest = load_manifest(folder)
    policy = build_policy(manifest.policy, manifest.embedding_width, 0, manifest.steps)
    load_weights(policy, _read_weights(folder / WEIGHTS, manifest.weights), folder / WEIGHTS)
    return policy, manifest


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a checkpoint. Raises CheckpointError naming file and field."""
    file = folder / MANIFEST
    try:
        return Manifest.model_validate(read_json(file))
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"])
        raise CheckpointError(fault["msg"], file=file, field=field or None) from error
    except InputError as error:
        raise CheckpointError(error.problem, file=file, row=error.row) from error


def load_weights(policy: torch.nn.Module, weights: Mapping[str, torch.Tensor], file: Path) -> None:
    """Put `weights` into `policy`; every key and shape must fit (CheckpointError naming the first that does not)."""
    expected = policy.state_dict()
    for name in sorted(expected.keys() | weights.keys()):
        if name not in weights:
            raise CheckpointError("is missing", file=file, field=name)
        if name not in expected:
            raise CheckpointError("is not part of the policy", file=file, field=name)
        if weights[name].shape != expected[name].shape:
            shapes = f"{tuple(weights[name].shape)}, the policy has {tuple(expected[name].shape)}"
            raise CheckpointError(f"has the shape {shapes}", file=file, field=name)
    policy.load_state_dict(dict(weights), strict=True)


def _read_weights(file: Path, sha256: str) -> dict[str, torch.Tensor]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror or error}", file=file) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CheckpointError(f"is damaged, or not the file that {MANIFEST} speaks of (SHA-256 differs)", file=file)
    try:
        return load(data)
    except SafetensorError as error:
        raise CheckpointError(f"is not a safetensors file: {error}", file=file) from error
