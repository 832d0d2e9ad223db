"""Folders of encoders: where they are, what is in them, and their weights, loaded whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from shotsmith.errors import InputError
from shotsmith.files import digest, file_digest, read_json
from shotsmith.recipe import EncoderSettings
from shotsmith.whole_model import load_whole

READ = ("*.json", "*.txt", "*.safetensors", "*.bin")
"""The files of a CLIP that can change an embedding; its identity is made of them and stays as it is."""
_FETCHED = (*READ, "*.model")
_NOT_FETCHED = ("onnx/*", "openvino/*")
"""Copies of the weights for other runtimes."""

DAMAGE = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, StrictDataclassError)
"""What loading a folder that does not hold what it says raises."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs and in which arithmetic."""

    device: torch.device
    dtype: torch.dtype | Literal["auto"]

    @classmethod
    def of(cls, settings: EncoderSettings) -> Placement:
        """As the settings say. Raises InputError where the device cannot be used."""
        dtype: torch.dtype | Literal["auto"] = "auto"
        if settings.dtype != "auto":
            dtype = getattr(torch, settings.dtype)
        if settings.device == "auto":
            return cls(torch.device("cuda" if torch.cuda.is_available() else "cpu"), dtype)
        try:
            return cls(torch.empty(0, device=settings.device).device, dtype)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).partition("\n")[0]
            problem = f"device {settings.device!r} cannot be used: {reason}"
            raise InputError(problem, field="encoder.device") from error


def model_folder(path: str, revision: str | None, field: str) -> Path:
    """Where the files of a model are; from the hub they come when they are wanted.

    Raises InputError where `path` is neither 'builtin', a folder, nor a model of the hub, or has no revisions.
    """
    folder = local_folder(path)
    if folder is None:
        try:
            return Path(
                snapshot_download(
                    path, revision=revision, allow_patterns=list(_FETCHED), ignore_patterns=list(_NOT_FETCHED)
                )
            )
        except (OSError, ValueError) as error:
            at = "" if revision is None else f" at revision '{revision}'"
            problem = f"'{path}'{at} is neither a folder nor a model that the hub gives"
            raise InputError(problem, field=field) from error
    if revision is not None:
        raise InputError(f"'{path}' is a folder and has no revision '{revision}'", field=field)
    return folder


def local_folder(path: str) -> Path | None:
    """The folder of a model on this machine, None where only the hub may have it."""
    if path == "builtin":
        from shotsmith.builtin import CLIP_PATH

        return CLIP_PATH
    folder = Path(path).expanduser()
    return folder if folder.is_dir() else None


def read_config(file: Path) -> Mapping[str, Any]:
    """The object in a JSON file. Raises InputError."""
    config = read_json(file)
    if not isinstance(config, dict):
        raise InputError("is not an object of settings", file=file)
    return config


def files_digest(folder: Path, files: Iterable[Path]) -> str:
    """A digest of names and contents."""
    named = {file.relative_to(folder).as_posix(): file for file in files}
    return digest(*(part for name in sorted(named) for part in (name, file_digest(named[name]))))


def top_files(folder: Path) -> list[Path]:
    """The files in a folder itself that can change an embedding."""
    return [file for pattern in _FETCHED for file in folder.glob(pattern)]


def load_weights(kind: Any, folder: Path, place: Placement, unused: tuple[str, ...] = (), **options: Any) -> Any:
    """A model of transformers with all its weights from `folder`, ready to embed.

    Weights whose names begin with one of `unused` do not take part in embeddings: the folder may have them. Raises
    InputError where it holds no such model, or its weights are not those of the model (`whole_model.load_whole`).
    """
    transformers_logging.disable_progress_bar()  # it would draw over our own
    try:
        model = load_whole(kind.from_pretrained, folder, unused, dtype=place.dtype, trust_remote_code=False, **options)
    except DAMAGE as error:
        raise InputError(f"cannot be loaded by transformers: {one_line(error)}", file=folder) from error
    model.train(False).requires_grad_(False)
    return model.to(place.device)


def load_part(kind: Any, folder: Path, what: str, **options: Any) -> Any:
    """A tokenizer or image processor of transformers. Raises InputError where the folder holds none."""
    try:
        return kind.from_pretrained(folder, **options)
    except (*DAMAGE, ImportError) as error:
        raise InputError(f"holds no {what} that transformers can load: {_first_line(error)}", file=folder) from error


def one_line(error: BaseException) -> str:
    """What an error of another library says, on one line of at most 300 characters."""
    said = " ".join(str(error).split())
    return said if len(said) <= 300 else f"{said[:300]}..."


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
