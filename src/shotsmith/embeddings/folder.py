"""Encoders that run a model from a folder: finding the folder, loading all of its weights, embedding in batches.

The modules of the families (image_text, vision, sentence) build a `Family` from these parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import StrictDataclassError
from PIL import Image
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from shotsmith.data.images import load_image
from shotsmith.data.rows import shown
from shotsmith.embeddings.embedded import Floats
from shotsmith.errors import InputError
from shotsmith.files import digest, file_digest, read_json
from shotsmith.progress import Advance
from shotsmith.recipe import EncoderSettings
from shotsmith.whole_model import load_whole

_CLIP_FILES = ("*.json", "*.txt", "*.safetensors", "*.bin")
_FETCHED = (*_CLIP_FILES, "*.model")
_NOT_FETCHED = ("onnx/*", "openvino/*")
"""Copies of the weights for other runtimes."""

DAMAGE = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, StrictDataclassError)
"""The exceptions that loading a damaged or incomplete folder raises."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs and in which arithmetic."""

    device: torch.device
    dtype: torch.dtype | Literal["auto"]

    @classmethod
    def of(cls, settings: EncoderSettings) -> Placement:
        """The placement that the settings describe. Raises InputError where the device cannot be used."""
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


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Tower(Generic[Item]):
    """The part of a model that embeds images, or the part that embeds texts."""

    width: int
    """The width D of an embedding."""
    features: Callable[[Sequence[Item]], torch.Tensor]
    """Computes the embeddings [B, D] of a batch of B images or texts, of any length and on any device."""


@dataclass(frozen=True, slots=True)
class Towers:
    """The towers of a model; a model may embed images alone or texts alone."""

    images: Tower[Image.Image] | None = None
    texts: Tower[str] | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """How the folders of one family of models are read."""

    name: str
    """The beginning of the identity of its encoders."""
    load: Callable[[Path, Placement], Towers]
    """Loads the towers. Raises InputError where the folder does not hold the whole model."""
    widths: Callable[[Path], tuple[int, int]]
    """(Di, Dt) from the configurations alone; 0 for a tower that the family does not have."""
    files: Callable[[Path], list[Path]]
    """The files that can change an embedding, of which the identity is computed."""


@dataclass(frozen=True, slots=True)
class FrozenEncoder:
    """An encoder that runs a model in batches; its embeddings have unit length."""

    identity: str
    """A text that changes whenever a file of a model or its arithmetic changes."""
    images: Tower[Image.Image]
    texts: Tower[str]
    batch_size: int

    def embed_images(self, paths: Sequence[Path], advance: Advance = lambda _amount: None) -> Floats:
        """Embeddings of N image files [N, Di]. Raises DataError naming the file where an image cannot be read."""
        features = self.images.features
        return self._embed(
            paths, lambda batch: features([load_image(path) for path in batch]), self.images.width, advance
        )

    def embed_texts(self, texts: Sequence[str], advance: Advance = lambda _amount: None) -> Floats:
        """Embeddings of N texts [N, Dt]. Texts longer than the model accepts are cut."""
        return self._embed(texts, self.texts.features, self.texts.width, advance)

    def _embed(
        self, items: Sequence[Item], features: Callable[[Sequence[Item]], torch.Tensor], width: int, advance: Advance
    ) -> Floats:
        rows: list[Floats] = [np.zeros((0, width), dtype=np.float32)]
        with torch.inference_mode():
            for batch in _batches(items, self.batch_size):
                unit = torch.nn.functional.normalize(features(batch).float(), dim=-1).cpu().numpy()
                if not np.isfinite(unit).all():
                    worst = batch[int(np.argmin(np.isfinite(unit).all(axis=1)))]
                    raise InputError(f"the embedding of {shown(str(worst))} is not finite", field="encoder")
                rows.append(unit)
                advance(len(batch))
        return np.concatenate(rows)


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def model_folder(path: str, revision: str | None, field: str) -> Path:
    """The folder of a model's files, downloaded from the hub where the model is not on this machine.

    Raises InputError where `path` is neither 'builtin', a folder nor a model of the hub, and where a
    folder is given a revision.
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
    """The folder of a model on this machine; None where only the hub may have it."""
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
    """A digest of the names and contents of some files of a folder."""
    named = {file.relative_to(folder).as_posix(): file for file in files}
    return digest(*(part for name in sorted(named) for part in (name, file_digest(named[name]))))


def top_files(folder: Path) -> list[Path]:
    """The files in a folder itself that can change an embedding."""
    return [file for pattern in _FETCHED for file in folder.glob(pattern)]


def clip_files(folder: Path) -> list[Path]:
    """The files of a CLIP that can change an embedding: fewer kinds, so that identities in old runs stay valid."""
    return [file for pattern in _CLIP_FILES for file in folder.glob(pattern)]


def load_weights(kind: Any, folder: Path, place: Placement, unused: tuple[str, ...] = (), **options: Any) -> Any:
    """A model of transformers with all its weights from `folder`, ready to embed.

    Weights whose names begin with one of `unused` do not take part in embeddings: the folder may have them. Raises
    InputError where it holds no such model, or its weights are not those of the model (`whole_model.load_whole`).
    """
    transformers_logging.disable_progress_bar()  # the bar would overwrite ours
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
        raise InputError(f"holds no {what} that transformers can load: {one_line(error)}", file=folder) from error


def one_line(error: BaseException) -> str:
    """What an error of another library says, on one line of at most 300 characters."""
    said = " ".join(str(error).split())
    return said if len(said) <= 300 else f"{said[:300]}..."
