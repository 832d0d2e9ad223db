"""SigLIP and SigLIP 2, fixed and flexible resolution (Zhai et al. 2023, arXiv 2303.15343; Tschannen et al. 2025,
arXiv 2502.14786)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoTokenizer, Siglip2Model, SiglipModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

from shotsmith.encoders.folder import Placement, load_part, load_weights, read_config, top_files
from shotsmith.encoders.frozen import Tower, Towers
from shotsmith.errors import InputError

_CLASSES: dict[str, tuple[Any, Any]] = {
    "siglip": (SiglipModel, SiglipImageProcessorPil),
    "siglip2": (Siglip2Model, Siglip2ImageProcessorPil),
}
_WIDTH = 768
"""What transformers assumes where a configuration does not say."""


def load(folder: Path, place: Placement) -> Towers:
    """Both towers. Raises InputError where the folder does not hold a whole SigLIP with an image head.

    As in training, texts are lower-cased and padded to the model's length, and the padding is seen.
    """
    kind, processor_kind = _CLASSES[str(read_config(folder / "config.json")["model_type"])]
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

    image_width, text_width = widths(folder)
    return Towers(Tower(image_width, images), Tower(text_width, texts))


def widths(folder: Path) -> tuple[int, int]:
    """(Di, Dt), from the configuration alone."""
    config = read_config(folder / "config.json")
    vision, text = config.get("vision_config") or {}, config.get("text_config") or {}
    hidden = int(text.get("hidden_size", _WIDTH))
    return int(vision.get("hidden_size", _WIDTH)), int(text.get("projection_size") or hidden)


files = top_files
"""The files that the identity is made of."""
