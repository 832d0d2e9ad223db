"""Folders in OpenCLIP's own format (Ilharco et al. 2021), through the package open_clip_torch.

Many of its models also come as a transformers CLIP, whose `config.json` says `clip`: those need no package.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from shotsmith.encoders.folder import DAMAGE, Placement, one_line, read_config, top_files
from shotsmith.encoders.frozen import Tower, Towers
from shotsmith.errors import InputError

CONFIG = "open_clip_config.json"


def load(folder: Path, place: Placement) -> Towers:
    """Both towers. Raises InputError without the package, or where the folder does not hold a whole OpenCLIP model."""
    try:
        import open_clip
    except ImportError as error:
        problem = f"OpenCLIP's format needs the package open_clip_torch (pip install 'shotsmith[openclip]'): {error}"
        raise InputError(problem, file=folder) from error
    name = f"local-dir:{folder}"
    try:
        model, transform = open_clip.create_model_from_pretrained(name, device=place.device)
        tokenizer = open_clip.get_tokenizer(name)
    except (*DAMAGE, ImportError) as error:
        raise InputError(f"cannot be loaded by open_clip: {one_line(error)}", file=folder) from error
    model.train(False).requires_grad_(False)
    if place.dtype != "auto":
        model.to(place.dtype)
    dtype = next(model.parameters()).dtype

    def images(batch: Sequence[Image.Image]) -> torch.Tensor:
        pixels = torch.stack([transform(image) for image in batch]).to(place.device, dtype)
        features: torch.Tensor = model.encode_image(pixels)
        return features

    def texts(batch: Sequence[str]) -> torch.Tensor:
        features: torch.Tensor = model.encode_text(tokenizer(list(batch)).to(place.device))
        return features

    image_width, text_width = widths(folder)
    return Towers(Tower(image_width, images), Tower(text_width, texts))


def widths(folder: Path) -> tuple[int, int]:
    """(Di, Dt), from the configuration alone."""
    file = folder / CONFIG
    config = read_config(file).get("model_cfg")
    width = config.get("embed_dim") if isinstance(config, dict) else None
    if not isinstance(width, int):
        raise InputError("is not a whole number", file=file, field="model_cfg.embed_dim")
    return width, width


files = top_files
"""The files that the identity is made of."""
