"""Vision features on disk: one file an image, bounded, shared by any number of processes and runs.

A file is whole or absent (it takes its place by renaming), and carries the digest of what it holds: one that a power
cut has spoilt is found out and computed anew. Any process may remove a file at any time; that costs the others a
computation.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from shotsmith.errors import VLMError, WriteError
from shotsmith.files import digest, replacing
from shotsmith.recipe.models import VisionCacheSettings
from shotsmith.temporary import is_unfinished

_OURS = re.compile(r"[0-9a-f]{16}/[0-9a-f]{2}/(?:[0-9a-f]{64}\.safetensors|\.[0-9a-f]{64}\.safetensors\.\w+)")
"""Files of a cache, and what a killed process of an older version left of one."""
_KEPT_AFTER_CLEARING = 0.9
"""Share of the limit that clearing leaves, so that it is rarely needed."""
_UNFINISHED_SECONDS = 3600
"""A file unfinished for longer was left by a process that was killed."""


Features = dict[str, torch.Tensor]
"""The tensors that a model makes of one image, by name."""


class VisionCache:
    """The features of one model's images in a folder of at most `limit` bytes.

    `identity` is all of the model that decides them. The folder may hold those of several models; the files used
    least recently go first, whosever they are.
    """

    def __init__(self, folder: Path, limit: int, identity: str) -> None:
        self._folder = folder
        self._own = folder / digest(identity)[:16]
        self._limit = limit
        self._bytes: int | None = None
        """In the folder when last looked, and what was put there since."""

    def get(self, content: str) -> Features | None:
        """The features of the image file with this digest, on the CPU; None where they are not there, or spoilt."""
        path = self._path(content)
        try:
            with safe_open(path, framework="pt") as file:
                features = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
                told = (file.metadata() or {}).get("digest")
            os.utime(path)
        except (OSError, SafetensorError):
            return None
        return features if told == _digest(features) else None

    def put(self, content: str, features: Features) -> None:
        """Keep features; the least recently used go where there are too many. Raises VLMError where it cannot write."""
        features = {name: tensor.detach().cpu().contiguous() for name, tensor in features.items()}
        try:
            with replacing(self._path(content), durable=False) as temporary:
                save_file(features, temporary, {"digest": _digest(features)})
                size = temporary.stat().st_size
        except (WriteError, OSError, SafetensorError) as error:
            reason = f"vision features cannot be kept in {self._folder} (vlm.vision_cache.gigabytes=0 keeps none)"
            raise VLMError(f"{reason}: {error}") from error
        if self._bytes is not None:
            self._bytes += size
        if self._bytes is None or self._bytes > self._limit:
            self._clear()

    def _path(self, content: str) -> Path:
        return self._own / content[:2] / f"{content}.safetensors"

    def _clear(self) -> None:
        """Count what is there, and remove the least recently used until it fits."""
        files = sorted(self._files())
        size = sum(length for _, length, _ in files)
        least = self._limit * _KEPT_AFTER_CLEARING if size > self._limit else size
        for _, length, path in files:
            if size <= least:
                break
            path.unlink(missing_ok=True)
            size -= length
        self._bytes = size

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Time of use, bytes and path of every file, those a killed process left unfinished long ago among them."""
        now = time.time()
        for path in self._folder.glob("*/*/*"):
            unfinished = path.name.startswith(".")
            if not is_unfinished(path.name) and not _OURS.fullmatch(path.relative_to(self._folder).as_posix()):
                continue  # somebody else's file in a folder that the settings name
            try:
                status = path.stat()
            except FileNotFoundError:  # removed by another process since
                continue
            if not unfinished or now - status.st_mtime > _UNFINISHED_SECONDS:
                yield status.st_mtime, status.st_size, path


def _digest(features: Features) -> str:
    return digest(*(part for name in sorted(features) for part in (name, _bytes(features[name]))))


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.view(torch.uint8).numpy().tobytes() if tensor.dim() else b""


def open_vision_cache(settings: VisionCacheSettings, identity: str) -> VisionCache | None:
    """None where nothing is to be kept on disk, or it is not said where."""
    if settings.folder is None or not settings.gigabytes:
        return None
    return VisionCache(settings.folder, int(settings.gigabytes * 1e9), identity)
