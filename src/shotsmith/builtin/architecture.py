"""The built-in VLM: a real Qwen2.5-VL, about one million weights."""

from __future__ import annotations

import torch
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)

from shotsmith.builtin.processor import ImageOnlyQwen25VLProcessor
from shotsmith.builtin.tokenizer import CHAT_TEMPLATE
from shotsmith.data.world.drawing import SIZE
from shotsmith.data.world.language import FACTS, KINDS

HIDDEN, LAYERS, HEADS, MLP = 128, 4, 4, 384
VISION_HIDDEN, VISION_LAYERS, VISION_MLP = 64, 2, 128
_ROTARY_SECTIONS = (4, 6, 6)
"""Rotary frequencies for time, height and width: half a head in all."""


def vocabulary_texts() -> list[str]:
    """Every text the VLM meets in the world."""
    prompt = ["Question: Short answer:"]
    return (
        prompt + [p for kind in KINDS.values() for p in kind.phrasings] + [a for f in FACTS.values() for a in f.answers]
    )


def build_vlm(tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen2_5_VLForConditionalGeneration:
    """A freshly initialised model."""
    token: dict[str, int] = tokenizer.get_vocab()
    torch.manual_seed(seed)
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": HIDDEN,
            "intermediate_size": MLP,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": HEADS,
            "max_position_embeddings": 1024,
            "initializer_range": 0.05,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": list(_ROTARY_SECTIONS),
            },
            "bos_token_id": None,
            "eos_token_id": token["<|im_end|>"],
            "pad_token_id": token["<|endoftext|>"],
        },
        vision_config={
            "depth": VISION_LAYERS,
            "hidden_size": VISION_HIDDEN,
            "intermediate_size": VISION_MLP,
            "num_heads": HEADS,
            "out_hidden_size": HIDDEN,
            "fullatt_block_indexes": list(range(VISION_LAYERS)),
            "window_size": 112,
            "initializer_range": 0.05,
        },
        image_token_id=token["<|image_pad|>"],
        video_token_id=token["<|video_pad|>"],
        vision_start_token_id=token["<|vision_start|>"],
        vision_end_token_id=token["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = token["<|im_end|>"]
    model.generation_config.pad_token_id = token["<|endoftext|>"]
    model.generation_config.do_sample = False
    return model


def build_processor(tokenizer: PreTrainedTokenizerFast) -> ImageOnlyQwen25VLProcessor:
    """Tokenizer, chat template, and pictures in the size in which the world draws them."""
    image_processor = Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=SIZE * SIZE)
    return ImageOnlyQwen25VLProcessor(image_processor, tokenizer, CHAT_TEMPLATE)
