"""Folders of encoders with random weights, one of each family: real classes, and the files of the real folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from small_clip import WORDS, write_tiny_clip
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ConvNextConfig,
    DINOv3ConvNextModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3Model,
    Siglip2Config,
    Siglip2Model,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipModel,
    T5Config,
    T5EncoderModel,
    ViTConfig,
    ViTModel,
)
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

LAYERS = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
SPREAD = LAYERS | {"initializer_range": 0.3}
LONGEST = 8
"""Tokens that a text model can take."""
LETTERS = "?abcdefghijklmnopqrstuvwxyz"


def word_tokenizer(*, limit: int | None = None) -> PreTrainedTokenizerFast:
    """Whole words between a beginning and an end, lower and upper case apart."""
    words = ["<pad>", "<unk>", "<bos>", "<eos>", *WORDS, *(word.upper() for word in WORDS if word != "?")]
    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 3)]
    )
    limits = {} if limit is None else {"model_max_length": limit}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
        **limits,
    )


VOCABULARY = len(word_tokenizer())


def save_siglip(folder: Path) -> None:
    text = SPREAD | {"vocab_size": VOCABULARY, "max_position_embeddings": LONGEST}
    text |= {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    vision = SPREAD | {"image_size": 8, "patch_size": 4}
    _save(SiglipModel(SiglipConfig(text_config=text, vision_config=vision)), folder)
    SiglipImageProcessorPil(size={"height": 8, "width": 8}).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)


def save_siglip2(folder: Path) -> None:
    text = SPREAD | {"vocab_size": 6 + len(LETTERS), "max_position_embeddings": LONGEST}
    text |= {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
    vision = SPREAD | {"num_patches": 16, "patch_size": 4}
    _save(Siglip2Model(Siglip2Config(text_config=text, vision_config=vision)), folder)
    Siglip2ImageProcessorPil(patch_size=4, max_num_patches=12).save_pretrained(folder)
    letters = {token: row for row, token in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS])}
    Siglip2Tokenizer(
        letters, [], padding_side="right", add_bos_token=False, add_eos_token=True, model_input_names=["input_ids"]
    ).save_pretrained(folder)


def save_dino(folder: Path) -> None:
    _save(ViTModel(ViTConfig(**SPREAD, image_size=8, patch_size=4), add_pooling_layer=False), folder)
    ViTImageProcessorPil(size={"height": 8, "width": 8}).save_pretrained(folder)


def save_dinov2(folder: Path) -> None:
    _save(Dinov2Model(Dinov2Config(**SPREAD, image_size=8, patch_size=4)), folder)
    _cropping(folder)


def save_dinov2_with_registers(folder: Path) -> None:
    _save(Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SPREAD, image_size=8, patch_size=4)), folder)
    _cropping(folder)


def save_dinov3(folder: Path) -> None:
    _save(DINOv3ViTModel(DINOv3ViTConfig(**SPREAD, image_size=8, patch_size=4, num_register_tokens=2)), folder)
    _dinov3_processor(folder)


def save_dinov3_convnext(folder: Path) -> None:
    sizes = {"hidden_sizes": [8, 8, 8, 16], "depths": [1, 1, 1, 1], "initializer_range": 0.3}
    _save(DINOv3ConvNextModel(DINOv3ConvNextConfig(**sizes)), folder)
    _dinov3_processor(folder, 32)


def save_bert(folder: Path, **pooling: Any) -> None:
    config = BertConfig(**SPREAD, vocab_size=VOCABULARY, max_position_embeddings=LONGEST)
    _save(BertModel(config, add_pooling_layer=False), folder)
    word_tokenizer().save_pretrained(folder)
    _sentence(folder, pooling or {"pooling_mode_mean_tokens": True}, ["Normalize"])


def save_qwen3(folder: Path) -> None:
    config = Qwen3Config(**SPREAD, vocab_size=VOCABULARY, num_key_value_heads=1, head_dim=8)
    _save(Qwen3Model(config), folder)
    word_tokenizer(limit=LONGEST).save_pretrained(folder)
    _sentence(folder, {"pooling_mode_lasttoken": True}, ["Normalize"])


def save_t5(folder: Path) -> None:
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "vocab_size": VOCABULARY}
    _save(T5EncoderModel(T5Config(**sizes, initializer_factor=3.0)), folder)
    word_tokenizer().save_pretrained(folder)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": LONGEST, "do_lower_case": True}))
    _sentence(folder, {"pooling_mode_mean_tokens": True}, ["Dense", "Normalize"])


def save_openclip_config(folder: Path) -> dict[str, Any]:
    """The configuration of a model in OpenCLIP's own format, without weights."""
    text = {"context_length": LONGEST, "vocab_size": VOCABULARY, "width": 16, "heads": 2, "layers": 2}
    vision = {"image_size": 8, "layers": 2, "width": 16, "head_width": 8, "patch_size": 4}
    model = {"embed_dim": 12, "vision_cfg": vision, "text_cfg": text | {"hf_tokenizer_name": "in this folder"}}
    config: dict[str, Any] = {"model_cfg": model, "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.3, 0.3, 0.3]}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return config


def save_in_hub_cache(cache: Path, name: str, revisions: Mapping[str, Callable[[Path], object]]) -> None:
    """What the hub's client keeps of a model after downloads of these revisions; the first is the main branch's."""
    model = cache / f"models--{name.replace('/', '--')}"
    (model / "refs").mkdir(parents=True)
    for row, (revision, save) in enumerate(revisions.items()):
        commit = f"{row:040d}"
        (model / "snapshots" / commit).mkdir(parents=True)
        save(model / "snapshots" / commit)
        (model / "refs" / revision).write_text(commit)


BOTH: Mapping[str, Callable[[Path], object]] = {"clip": write_tiny_clip, "siglip": save_siglip, "siglip2": save_siglip2}
IMAGES: Mapping[str, Callable[[Path], object]] = {
    "vit": save_dino,
    "dinov2": save_dinov2,
    "dinov2_with_registers": save_dinov2_with_registers,
    "dinov3_vit": save_dinov3,
    "dinov3_convnext": save_dinov3_convnext,
}
TEXTS: Mapping[str, Callable[[Path], object]] = {"bert": save_bert, "qwen3": save_qwen3, "t5": save_t5}


def _save(model: Any, folder: Path) -> None:
    """With weights that differ enough for embeddings to differ."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if values.ndim > 1 or "bias" in name:
                values.copy_(torch.randn(values.shape, generator=generator) * 0.3)
    model.save_pretrained(folder)


def _cropping(folder: Path) -> None:
    size = {"size": {"shortest_edge": 10}, "crop_size": {"height": 8, "width": 8}}
    BitImageProcessorPil(**size).save_pretrained(folder)


def _dinov3_processor(folder: Path, size: int = 8) -> None:
    """As the class writes it that needs torchvision."""
    config = {
        "image_processor_type": "DINOv3ViTImageProcessorFast",
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "size": {"height": size, "width": size},
        "resample": 2,
        "rescale_factor": 1 / 255,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(config))


def _sentence(folder: Path, pooling: Mapping[str, Any], later: list[str]) -> None:
    """The files that sentence-transformers puts beside a transformer of width 16."""
    names = ["Transformer", "Pooling", *later]
    paths = ["", *(f"{row}_{name}" for row, name in enumerate(names) if row)]
    listed = [
        {"idx": row, "name": str(row), "path": path, "type": f"sentence_transformers.models.{name}"}
        for row, (name, path) in enumerate(zip(names, paths, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    for path in paths[1:]:
        (folder / path).mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16, **pooling}))
    if "Dense" in later:
        dense = folder / "2_Dense"
        config = {"in_features": 16, "out_features": 6, "bias": False}
        config |= {"activation_function": "torch.nn.modules.activation.Tanh"}
        (dense / "config.json").write_text(json.dumps(config))
        generator = torch.Generator().manual_seed(1)
        torch.save({"linear.weight": torch.randn(6, 16, generator=generator)}, dense / "pytorch_model.bin")
