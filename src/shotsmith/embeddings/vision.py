"""The family of encoders of images alone: DINO, DINOv2 and DINOv3.

The embedding is the normalised class token (Caron et al. 2021, arXiv 2104.14294; Oquab et al. 2023, arXiv 2304.07193;
Siméoni et al. 2025, arXiv 2508.10104).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    Dinov2Model,
    Dinov2WithRegistersModel,
    DINOv3ConvNextModel,
    DINOv3ViTModel,
    ViTModel,
)

from shotsmith.embeddings.folder import (
    Family,
    Placement,
    Tower,
    Towers,
    load_part,
    load_weights,
    read_config,
    top_files,
)
from shotsmith.errors import InputError

_CLASSES: dict[str, tuple[Any, Mapping[str, Any]]] = {
    "vit": (ViTModel, {"add_pooling_layer": False}),
    "dinov2": (Dinov2Model, {}),
    "dinov2_with_registers": (Dinov2WithRegistersModel, {}),
    "dinov3_vit": (DINOv3ViTModel, {}),
    "dinov3_convnext": (DINOv3ConvNextModel, {}),
}
_UNUSED = ("pooler.", "classifier.")
"""Prefixes of the weights of a classification head, which do not take part in embeddings."""
_MODES = {2: "bilinear", 3: "bicubic"}
"""The interpolation of each number by which Pillow calls it."""

Preprocess = Callable[[Sequence[Image.Image]], torch.Tensor]
"""Converts B images to pixels [B, 3, height, width]."""


def _load(folder: Path, place: Placement) -> Towers:
    """The image tower; a processor that keeps the sizes of images is an error."""
    model_type = str(read_config(folder / "config.json")["model_type"])
    kind, options = _CLASSES[model_type]
    model = load_weights(kind, folder, place, _UNUSED, **options)
    prepare = dinov3_pixels(folder) if model_type.startswith("dinov3") else _processor_pixels(folder)
    _check_sizes(prepare, folder)

    def images(batch: Sequence[Image.Image]) -> torch.Tensor:
        pixels = prepare(batch).to(model.device, model.dtype)
        features: torch.Tensor = model(pixel_values=pixels).last_hidden_state[:, 0]
        return features

    return Towers(images=Tower(_widths(folder)[0], images))


def _processor_pixels(folder: Path) -> Preprocess:
    processor = load_part(AutoImageProcessor, folder, "image processor", backend="pil", trust_remote_code=False)

    def prepare(batch: Sequence[Image.Image]) -> torch.Tensor:
        pixels: torch.Tensor = processor(images=list(batch), return_tensors="pt")["pixel_values"]
        return pixels

    return prepare


def dinov3_pixels(folder: Path) -> Preprocess:
    """The image processor of DINOv3 without torchvision: rescale, resize with antialiasing, normalise.

    Raises InputError where the configuration of the folder describes another processor.
    """
    file = folder / "preprocessor_config.json"
    config = read_config(file)
    size, mode = config.get("size") or {"height": 224, "width": 224}, _MODES.get(config.get("resample", 2))
    steps = (config.get("do_resize", True), config.get("do_rescale", True), config.get("do_normalize", True))
    if not (all(steps) and {"height", "width"} <= size.keys() and mode) or config.get("do_center_crop"):
        raise InputError("does not rescale, resize to height and width and normalise, as DINOv3 does", file=file)
    scale = float(config.get("rescale_factor", 1 / 255))
    mean = torch.tensor(config.get("image_mean", [0.485, 0.456, 0.406])).view(1, 3, 1, 1)
    deviation = torch.tensor(config.get("image_std", [0.229, 0.224, 0.225])).view(1, 3, 1, 1)

    def resized(image: Image.Image) -> torch.Tensor:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() * scale
        target = (size["height"], size["width"])
        return torch.nn.functional.interpolate(pixels, target, mode=str(mode), align_corners=False, antialias=True)

    return lambda batch: (torch.cat([resized(image) for image in batch]) - mean) / deviation


def _check_sizes(prepare: Preprocess, folder: Path) -> None:
    """Raises InputError unless images of two different sizes fit in one batch."""
    wide, tall = Image.new("RGB", (90, 40)), Image.new("RGB", (30, 70))
    if prepare([wide]).shape != prepare([tall]).shape:
        raise InputError("gives images of different sizes", file=folder / "preprocessor_config.json")


def _widths(folder: Path) -> tuple[int, int]:
    config = read_config(folder / "config.json")
    if config["model_type"] == "dinov3_convnext":
        return int((config.get("hidden_sizes") or [96, 192, 384, 768])[-1]), 0
    return int(config.get("hidden_size", 384 if config["model_type"] == "dinov3_vit" else 768)), 0


VISION = Family("vision", _load, _widths, top_files)
