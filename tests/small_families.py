"""Folders of small models with random weights, one of each family, with the files of the real ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import small_vlm
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    Idefics2Config,
    Idefics2ForConditionalGeneration,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

IMAGE_MARKS = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", "<video>")
TILES = tuple(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5))
# Roles in capitals, no space between a role and an image: as IDEFICS2, IDEFICS3 and SmolVLM have it.
UTTERANCES = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}:{% else %}: {% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] == 'image' %}<image>{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
# All images of a turn before its texts, as LLaVA-OneVision has it.
IMAGES_FIRST = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }} "
    "{% for part in message['content'] if part['type'] == 'image' %}<image>{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}\n{{ part['text'] }}{% endfor %}"
    "<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 4096,
    "initializer_range": 0.3,
    "tie_word_embeddings": False,
}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "initializer_range": 0.3,
}
NORMAL = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "do_normalize": True, "do_rescale": True}


def sentence_tokenizer(*special: str, bos: bool = False) -> PreTrainedTokenizerFast:
    """Byte-level BPE that splits words with the space before them; with `bos`, it puts one before every text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    texts = [" ".join(small_vlm.WORDS), "User: Assistant: Question: Short answer:", "\n\n".join("abcdefgh")]
    tokenizer.train_from_iterator(texts * 3, trainer)
    tokens = ["<pad>", "<s>", "</s>", *special]
    built = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=[AddedToken(token, normalized=False, special=True) for token in tokens[3:]],
        padding_side="right",
    )
    if bos:
        ids = [("<s>", built.convert_tokens_to_ids("<s>"))]
        built.backend_tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=ids)
    return built


def save_qwen2_5(folder: Path) -> None:
    small_vlm.save_like_qwen(folder)


def save_qwen3(folder: Path) -> None:
    tokenizer = small_vlm.byte_tokenizer()
    ids = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{token}|>")
        for name, token in (
            ("image", "image_pad"),
            ("video", "video_pad"),
            ("vision_start", "vision_start"),
            ("vision_end", "vision_end"),
        )
    }
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    config = Qwen3VLConfig(
        text_config={**TEXT, **_ends(tokenizer), "head_dim": 16, "rope_parameters": rope},
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "num_heads": 2,
            "intermediate_size": 24,
            "out_hidden_size": 32,
            "patch_size": 14,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
            "initializer_range": 0.3,
        },
        **ids,
    )
    _save(folder, Qwen3VLForConditionalGeneration, config, tokenizer, small_vlm.QWEN_TEMPLATE)
    pixels = {"min_pixels": 56 * 56, "max_pixels": 112 * 112, "patch_size": 14, "temporal_patch_size": 2}
    images = {"image_processor_type": "Qwen2VLImageProcessorFast", **pixels, **NORMAL}
    _write(folder / "preprocessor_config.json", images)
    _write(folder / "video_preprocessor_config.json", {"video_processor_type": "Qwen3VLVideoProcessor", **pixels})


def save_idefics2(folder: Path) -> None:
    tokenizer = sentence_tokenizer(*IMAGE_MARKS[:3], bos=True)
    config = Idefics2Config(
        text_config={"model_type": "mistral", **TEXT, **_ends(tokenizer)},
        vision_config={**VISION, "image_size": 56, "patch_size": 14},
        perceiver_config={
            "hidden_size": 32,
            "resampler_n_latents": 4,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 8,
            "num_key_value_heads": 1,
            "initializer_range": 0.3,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    _save(folder, Idefics2ForConditionalGeneration, config, tokenizer, UTTERANCES)
    size = {"shortest_edge": 28, "longest_edge": 56}
    images = {"image_processor_type": "Idefics2ImageProcessor", "size": size, "do_image_splitting": False, **NORMAL}
    _write(folder / "preprocessor_config.json", images)
    _write(folder / "processor_config.json", {"processor_class": "Idefics2Processor", "image_seq_len": 4})


def save_idefics3(folder: Path) -> None:
    tokenizer = sentence_tokenizer(*IMAGE_MARKS, *TILES, bos=True)
    config = Idefics3Config(**_tiled(tokenizer))
    _save(folder, Idefics3ForConditionalGeneration, config, tokenizer, UTTERANCES)
    _write(folder / "preprocessor_config.json", _tiles("Idefics3ImageProcessor"))
    _write(folder / "processor_config.json", {"processor_class": "Idefics3Processor", "image_seq_len": 4})


def save_smolvlm(folder: Path) -> None:
    tokenizer = sentence_tokenizer(*IMAGE_MARKS, *TILES)
    config = SmolVLMConfig(**_tiled(tokenizer))
    _save(folder, SmolVLMForConditionalGeneration, config, tokenizer, UTTERANCES)
    _write(folder / "preprocessor_config.json", _tiles("SmolVLMImageProcessor"))
    _write(folder / "processor_config.json", {"processor_class": "SmolVLMProcessor", "image_seq_len": 4})


def save_llava_onevision(folder: Path) -> None:
    tokenizer = sentence_tokenizer("<|im_start|>", "<|im_end|>", "<image>", "<video>")
    pinpoints = [[56, 56], [56, 112], [112, 56], [112, 112]]
    config = LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **TEXT, **_ends(tokenizer)},
        vision_config={
            "model_type": "siglip_vision_model",
            **VISION,
            "image_size": 56,
            "patch_size": 14,
            "vision_use_head": False,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
    )
    _save(folder, LlavaOnevisionForConditionalGeneration, config, tokenizer, IMAGES_FIRST)
    size = {"height": 56, "width": 56}
    images = {"image_processor_type": "LlavaOnevisionImageProcessor", "size": size, "image_grid_pinpoints": pinpoints}
    _write(folder / "preprocessor_config.json", {**images, **NORMAL})
    processor = {"processor_class": "LlavaOnevisionProcessor", "num_image_tokens": 16}
    features = {"vision_feature_select_strategy": "full", "vision_aspect_ratio": "anyres_max_9"}
    _write(folder / "processor_config.json", processor | features)


FAMILIES: Mapping[str, Callable[[Path], None]] = {
    "qwen2_5_vl": save_qwen2_5,
    "qwen3_vl": save_qwen3,
    "idefics2": save_idefics2,
    "idefics3": save_idefics3,
    "smolvlm": save_smolvlm,
    "llava_onevision": save_llava_onevision,
}


def _tiled(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "text_config": {"model_type": "llama", **TEXT, **_ends(tokenizer)},
        "vision_config": {**VISION, "image_size": 56, "patch_size": 14},
        "scale_factor": 2,
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
    }


def _tiles(kind: str) -> dict[str, Any]:
    sizes = {"size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 56}}
    return {"image_processor_type": kind, "do_image_splitting": True, **sizes, **NORMAL}


def _ends(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _save(folder: Path, kind: Any, config: Any, tokenizer: PreTrainedTokenizerFast, template: str) -> None:
    torch.manual_seed(len(kind.__name__))
    model = kind(config).eval()
    model.generation_config.repetition_penalty = 1.2  # to be ignored
    model.generation_config.eos_token_id = small_vlm.ends_of(tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(template)


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))
