"""An encoder that runs a model: batches in, rows of unit length out, whatever the family of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from PIL import Image

from shotsmith.data.images import load_image
from shotsmith.data.rows import shown
from shotsmith.encoders.embedded import Floats
from shotsmith.errors import InputError
from shotsmith.progress import Advance

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Tower(Generic[Item]):
    """One side of a model."""

    width: int
    """D."""
    features: Callable[[Sequence[Item]], torch.Tensor]
    """A batch of B images or texts -> [B, D], of any length and on any device."""


@dataclass(frozen=True, slots=True)
class Towers:
    """What a family loads from a folder; a model may embed images alone or texts alone."""

    images: Tower[Image.Image] | None = None
    texts: Tower[str] | None = None


@dataclass(frozen=True, slots=True)
class FrozenEncoder:
    """Embeds images and texts in batches; the rows it returns have unit length."""

    identity: str
    """Changes whenever a file of a model does, or its arithmetic."""
    images: Tower[Image.Image]
    texts: Tower[str]
    batch_size: int

    def embed_images(self, paths: Sequence[Path], advance: Advance = lambda _amount: None) -> Floats:
        """[N, Di]. Raises DataError naming the file where an image cannot be read."""
        features = self.images.features
        return self._embed(
            paths, lambda batch: features([load_image(path) for path in batch]), self.images.width, advance
        )

    def embed_texts(self, texts: Sequence[str], advance: Advance = lambda _amount: None) -> Floats:
        """[N, Dt]. Texts longer than the model can hold are cut at its length."""
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
