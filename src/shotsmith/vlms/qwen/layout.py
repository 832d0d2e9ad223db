"""Prompts as tokens in a line, and pieces of such lines side by side, padded on the left.

Text advances the three axes of M-RoPE positions (time, height, width) together; an image lays its rows and columns out
from the position it starts at, and the text goes on after the larger of the two (arXiv 2409.12191, section 2.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from shotsmith.vlms.prompting.prompt_tokens import Ids
from shotsmith.vlms.qwen.vision import ImageFeatures


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt for the model."""

    pieces: Sequence[Ids]
    """Token ids before the first image, between images, and after the last."""
    images: Sequence[ImageFeatures]
    answer: Ids | None = None
    """Tokens whose log-probability is wanted."""
    text: bool = True
    """Whether greedy decoding is wanted."""


@dataclass(frozen=True, slots=True)
class Line:
    """The L tokens of a prompt and, after them, of its answer."""

    ids: Ids
    """[L] token ids; -1 - n at the tokens of the image numbered n."""
    positions: Ids
    """[3, L] M-RoPE positions."""
    prompt: int
    """Tokens of the prompt alone."""
    following: int
    """Position of the first token after the prompt."""
    images: tuple[tuple[int, torch.Tensor], ...]
    """Where each image begins, and its features."""

    def __len__(self) -> int:
        return len(self.ids)

    def features(self, start: int, stop: int) -> list[torch.Tensor]:
        """Those of the image tokens from `start` to `stop`."""
        parts = [features[max(start - begin, 0) : max(stop - begin, 0)] for begin, features in self.images]
        return [part for part in parts if len(part)]


@dataclass(frozen=True, slots=True)
class Span:
    """The tokens of a line from `start` to `stop`."""

    line: Line
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Batch:
    """B spans side by side, padded on the left to W tokens."""

    ids: torch.Tensor
    """[B, W]; what stands at images does not matter."""
    images: torch.Tensor
    """[B, W] true at the tokens of images."""
    mask: torch.Tensor
    """[B, W] 1 at tokens, 0 at padding."""
    positions: torch.Tensor
    """[3, B, W] M-RoPE positions."""
    features: tuple[torch.Tensor, ...]
    """Those of the image tokens, in order."""


def in_line(row: Row, numbers: dict[str, int]) -> Line:
    """Lay a row out. `numbers` gives each image its number, and is extended: lines that share it can be compared."""
    ids: list[Ids] = []
    positions: list[Ids] = []
    images: list[tuple[int, torch.Tensor]] = []
    length = position = 0
    for index, piece in enumerate(row.pieces):
        ids.append(piece)
        positions.append(_counted(position, len(piece)))
        length, position = length + len(piece), position + len(piece)
        if index < len(row.images):
            image = row.images[index]
            number = numbers.setdefault(image.content, len(numbers))
            images.append((length, image.features))
            ids.append(np.full(len(image.features), -1 - number, dtype=np.int64))
            positions.append(position + _grid(image.rows, image.columns))
            length, position = length + len(image.features), position + max(image.rows, image.columns)
    if row.answer is not None:
        ids.append(row.answer)
        positions.append(_counted(position, len(row.answer)))
    return Line(np.concatenate(ids), np.concatenate(positions, axis=1), length, position, tuple(images))


def side_by_side(spans: Sequence[Span], device: torch.device) -> Batch:
    """Pad spans to the longest."""
    width = max(map(len, spans))
    ids = np.zeros((len(spans), width), dtype=np.int64)
    mask = np.zeros((len(spans), width), dtype=np.int64)
    positions = np.zeros((3, len(spans), width), dtype=np.int64)
    for number, span in enumerate(spans):
        here = slice(width - len(span), width)
        ids[number, here] = span.line.ids[span.start : span.stop]
        mask[number, here] = 1
        positions[:, number, here] = span.line.positions[:, span.start : span.stop]
    features = [part for span in spans for part in span.line.features(span.start, span.stop)]
    ids_, images, mask_, positions_ = (
        torch.from_numpy(array).to(device) for array in (ids.clip(0), ids < 0, mask, positions)
    )
    return Batch(ids_, images, mask_, positions_, tuple(features))


@lru_cache(maxsize=100_000)
def _counted(start: int, count: int) -> Ids:
    """Positions [3, count] of text."""
    return np.broadcast_to(np.arange(start, start + count), (3, count))


@lru_cache(maxsize=1000)
def _grid(rows: int, columns: int) -> Ids:
    """Offsets [3, rows * columns] of an image's tokens on the axes of time, height and width."""
    height, width = np.divmod(np.arange(rows * columns), columns)
    return np.stack([np.zeros_like(height), height, width])
