"""Any CLIP of transformers as a frozen encoder of images and texts (Radford et al. 2021, arXiv 2103.00020)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.utils import logging as transformers_logging

from shotsmith.data.images import load_image
from shotsmith.encoders.embedded import Floats
from shotsmith.encoders.whole_model import refuse_half
from shotsmith.errors import InputError
from shotsmith.files import digest, file_digest
from shotsmith.progress import Advance
from shotsmith.recipe import EncoderSettings

Item = TypeVar("Item")

_READ = ("*.json", "*.txt", "*.safetensors", "*.bin")
"""The files of a model folder that can change an embedding."""


@dataclass(frozen=True, slots=True)
class ClipEncoder:
    """Embeds images and texts in batches; the rows it returns have unit length."""

    identity: str
    """Changes whenever a file of the model does."""
    model: CLIPModel
    image_processor: CLIPImageProcessorPil
    tokenizer: Any
    batch_size: int

    def embed_images(self, paths: Sequence[Path], advance: Advance = lambda _amount: None) -> Floats:
        """[N, Di]. Raises DataError naming the file where an image cannot be read."""

        def features(batch: Sequence[Path]) -> torch.Tensor:
            images = [load_image(path) for path in batch]
            pixels = self.image_processor(images=images, return_tensors="pt")["pixel_values"]
            return _pooled(self.model.get_image_features(pixel_values=pixels.to(self.model.device)))

        return self._embed(paths, features, advance)

    def embed_texts(self, texts: Sequence[str], advance: Advance = lambda _amount: None) -> Floats:
        """[N, Dt]. Texts longer than the model can hold are cut at its length."""

        def features(batch: Sequence[str]) -> torch.Tensor:
            longest = self.model.text_model.config.max_position_embeddings
            tokens = self.tokenizer(
                list(batch),
                padding=True,
                truncation=True,
                max_length=longest,
                padding_side="right",
                return_tensors="pt",
            ).to(self.model.device)
            return _pooled(
                self.model.get_text_features(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
            )

        return self._embed(texts, features, advance)

    def _embed(
        self, items: Sequence[Item], features: Callable[[Sequence[Item]], torch.Tensor], advance: Advance
    ) -> Floats:
        width = self.model.visual_projection.out_features
        rows: list[Floats] = [np.zeros((0, width), dtype=np.float32)]
        with torch.inference_mode():
            for batch in _batches(items, self.batch_size):
                rows.append(torch.nn.functional.normalize(features(batch).float(), dim=-1).cpu().numpy())
                advance(len(batch))
        return np.concatenate(rows)


def load_encoder(settings: EncoderSettings) -> ClipEncoder:
    """Load the CLIP that `settings.path` names: 'builtin', a folder, or a hub id.

    Raises InputError where it is none of these or does not hold a CLIP.
    """
    folder = encoder_folder(settings)
    transformers_logging.disable_progress_bar()  # it would draw over our own
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if not isinstance(config, CLIPConfig):
            raise InputError(f"is a {config.model_type!r} model and no CLIP", file=folder, field="encoder.path")
        loading: Any = CLIPModel.from_pretrained  # its types do not know of the loading info
        model, loaded = loading(folder, trust_remote_code=False, output_loading_info=True)
        image_processor = CLIPImageProcessorPil.from_pretrained(folder, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        raise InputError(f"is not a CLIP model that transformers can load: {error}", file=folder) from error
    refuse_half(loaded, folder)
    model.train(False).requires_grad_(False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return ClipEncoder(
        identity=_identity(folder),
        model=model.to(device),
        image_processor=image_processor,
        tokenizer=tokenizer,
        batch_size=settings.batch_size,
    )


def encoder_folder(settings: EncoderSettings) -> Path:
    """Where the files of an encoder are. Raises InputError where it is neither a folder nor to be had from the hub."""
    path = settings.path
    if path == "builtin":
        from shotsmith.builtin import CLIP_PATH

        return CLIP_PATH
    if Path(path).is_dir():
        return Path(path)
    try:
        return Path(snapshot_download(path, allow_patterns=list(_READ)))
    except (HFValidationError, LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise InputError(f"encoder '{path}' is neither a folder nor a model that the hub gives") from error


def _identity(folder: Path) -> str:
    files = sorted(file for pattern in _READ for file in folder.glob(pattern))
    return "clip:" + digest(*(part for file in files for part in (file.name, file_digest(file))))


def _pooled(output: Any) -> torch.Tensor:
    features: torch.Tensor = output.pooler_output
    return features


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
