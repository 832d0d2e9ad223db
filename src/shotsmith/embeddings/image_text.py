"""Families of models that embed images and texts in one space.

- CLIP of transformers (Radford et al. 2021, arXiv 2103.00020).
- SigLIP and SigLIP 2, fixed and flexible resolution (Zhai et al. 2023, arXiv 2303.15343; Tschannen et al. 2025, arXiv
  2502.14786).
- OpenCLIP's own format (Ilharco et al. 2021), through the package open_clip_torch. Many of its models also exist as a
  CLIP of transformers, whose `config.json` says `clip`; these do not need the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPModel, Siglip2Model, SiglipModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

from shotsmith.embeddings.folder import (
    DAMAGE,
    Family,
    Placement,
    Tower,
    Towers,
    clip_files,
    load_part,
    load_weights,
    one_line,
    read_config,
    top_files,
)
from shotsmith.errors import InputError

_CLIP_WIDTH = 512
_SIGLIP_WIDTH = 768
"""The widths that transformers assumes where a configuration does not give one."""
_SIGLIP_CLASSES: dict[str, tuple[Any, Any]] = {
    "siglip": (SiglipModel, SiglipImageProcessorPil),
    "siglip2": (Siglip2Model, Siglip2ImageProcessorPil),
}
OPENCLIP_CONFIG = "open_clip_config.json"
"""The file by which a folder in OpenCLIP's format is recognised."""


def _load_clip(folder: Path, place: Placement) -> Towers:
    model = load_weights(CLIPModel, folder, place)
    processor = load_part(CLIPImageProcessorPil, folder, "image processor")
    tokenizer = load_part(AutoTokenizer, folder, "tokenizer", trust_remote_code=False)
    longest = model.text_model.config.max_position_embeddings

    def images(batch: Sequence[Image.Image]) -> torch.Tensor:
        pixels = processor(images=list(batch), return_tensors="pt")["pixel_values"]
        features: torch.Tensor = model.get_image_features(pixel_values=pixels.to(model.device)).pooler_output
        return features

    def texts(batch: Sequence[str]) -> torch.Tensor:
        tokens = tokenizer(
            list(batch), padding=True, truncation=True, max_length=longest, padding_side="right", return_tensors="pt"
        ).to(model.device)
        features: torch.Tensor = model.get_text_features(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).pooler_output
        return features

    width = model.visual_projection.out_features
    return Towers(Tower(width, images), Tower(width, texts))


def _clip_widths(folder: Path) -> tuple[int, int]:
    width = int(read_config(folder / "config.json").get("projection_dim", _CLIP_WIDTH))
    return width, width


CLIP = Family("clip", _load_clip, _clip_widths, clip_files)


def _load_siglip(folder: Path, place: Placement) -> Towers:
    """Both towers; a SigLIP without an image head is an error.

    As in training, texts are lower-cased and padded to the model's length, and the padding is not masked.
    """
    kind, processor_kind = _SIGLIP_CLASSES[str(read_config(folder / "config.json")["model_type"])]
    model = load_weights(kind, folder, place)
    if not model.config.vision_config.vision_use_head:
        raise InputError("has no head that pools an image", file=folder / "config.json", field="vision_use_head")
    processor = load_part(processor_kind, folder, "image processor")
    tokenizer = load_part(AutoTokenizer, folder, "tokenizer", trust_remote_code=False)
    longest = model.config.text_config.max_position_embeddings

    def images(batch: Sequence[Image.Image]) -> torch.Tensor:
        inputs = processor(images=list(batch), return_tensors="pt").to(model.device)
        features: torch.Tensor = model.get_image_features(**inputs).pooler_output
        return features

    def texts(batch: Sequence[str]) -> torch.Tensor:
        lower = [text.lower() for text in batch]
        tokens = tokenizer(lower, padding="max_length", truncation=True, max_length=longest, return_tensors="pt").to(
            model.device
        )
        features: torch.Tensor = model.get_text_features(input_ids=tokens["input_ids"]).pooler_output
        return features

    image_width, text_width = _siglip_widths(folder)
    return Towers(Tower(image_width, images), Tower(text_width, texts))


def _siglip_widths(folder: Path) -> tuple[int, int]:
    config = read_config(folder / "config.json")
    vision, text = config.get("vision_config") or {}, config.get("text_config") or {}
    hidden = int(text.get("hidden_size", _SIGLIP_WIDTH))
    return int(vision.get("hidden_size", _SIGLIP_WIDTH)), int(text.get("projection_size") or hidden)


SIGLIP = Family("siglip", _load_siglip, _siglip_widths, top_files)


def _load_openclip(folder: Path, place: Placement) -> Towers:
    """Both towers; a missing package open_clip_torch is an error."""
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

    image_width, text_width = _openclip_widths(folder)
    return Towers(Tower(image_width, images), Tower(text_width, texts))


def _openclip_widths(folder: Path) -> tuple[int, int]:
    file = folder / OPENCLIP_CONFIG
    config = read_config(file).get("model_cfg")
    width = config.get("embed_dim") if isinstance(config, dict) else None
    if not isinstance(width, int):
        raise InputError("is not a whole number", file=file, field="model_cfg.embed_dim")
    return width, width


OPENCLIP = Family("openclip", _load_openclip, _openclip_widths, top_files)
