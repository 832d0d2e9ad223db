"""Any CLIP of transformers (Radford et al. 2021, arXiv 2103.00020)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from shotsmith.encoders.folder import READ, Placement, load_part, load_weights, read_config
from shotsmith.encoders.frozen import Tower, Towers

_WIDTH = 512
"""What transformers assumes where a configuration does not say."""


def load(folder: Path, place: Placement) -> Towers:
    """Both towers. Raises InputError where the folder does not hold a whole CLIP."""
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


def widths(folder: Path) -> tuple[int, int]:
    """(Di, Dt), from the configuration alone."""
    width = int(read_config(folder / "config.json").get("projection_dim", _WIDTH))
    return width, width


def files(folder: Path) -> list[Path]:
    """The files that the identity is made of."""
    return [file for pattern in READ for file in folder.glob(pattern)]
