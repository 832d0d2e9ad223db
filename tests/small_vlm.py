"""VLMs of the real class with random weights: one like the built-in, one in the form of Qwen2.5-VL-3B-Instruct."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)

from shotsmith.builtin.processor import ImageOnlyQwen25VLProcessor
from shotsmith.records import Example, Request

WORDS = "what is it called color where from used for red blue green dax wug blicket paris tea".split()
CHAT = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
QWEN_REFERENCES = ("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>")
QWEN_QUADS = ("<|quad_start|>", "<|quad_end|>")
VISION = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")
QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PLAIN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Puts a default system turn first and can number the pictures, as the template of the Qwen2.5-VL models does.
QWEN_TEMPLATE = (
    "{% set pictures = namespace(value=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}"
    "<|im_end|>\n{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' or 'image' in part %}"
    "{% set pictures.value = pictures.value + 1 %}{% if add_vision_id %}Picture {{ pictures.value }}: {% endif %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def word_tokenizer() -> PreTrainedTokenizerFast:
    """Whole words, and characters for all others; splits at white space, which it drops."""
    known = [*WORDS, "user", "assistant", "Question", "Short", "answer", ":", "?"]
    characters = sorted(set(map(chr, range(33, 127))) - set(known))
    tokens = [*CHAT, *VISION, "<unk>", *known, *characters, *(f"##{chr(code)}" for code in range(33, 127))]
    tokenizer = Tokenizer(models.WordPiece({token: number for number, token in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        additional_special_tokens=[*CHAT[1:], *VISION],
        padding_side="left",
    )


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with Qwen's splitting and all its special tokens."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(pattern=Regex(QWEN_PATTERN), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    texts = [" ".join(WORDS), "Question: Short answer: You are a helpful assistant", "\n\n".join("abcdefgh")]
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        additional_special_tokens=[
            AddedToken(token, normalized=False, special=True)
            for token in (*CHAT[1:], *QWEN_REFERENCES, *QWEN_QUADS, *VISION)
        ],
        padding_side="left",
    )


def ends_of(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """End tokens; besides the real ones a sixth of the vocabulary, so that random models end answers at any length."""
    return [tokenizer.eos_token_id, tokenizer.pad_token_id, *range(20, len(tokenizer) - 20, 6)]


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int, **text: object) -> Qwen2_5_VLForConditionalGeneration:
    """A small model with random weights, large enough that its answers differ from prompt to prompt."""
    ids = {token: tokenizer.convert_tokens_to_ids(f"<|{token}|>") for token in ("image_pad", "video_pad")}
    marks = {token: tokenizer.convert_tokens_to_ids(f"<|{token}|>") for token in ("vision_start", "vision_end")}
    hidden = 32
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": hidden,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "max_position_embeddings": 2048,
            "initializer_range": 0.3,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            **text,
        },
        vision_config={
            "depth": 3,
            "hidden_size": 16,
            "num_heads": 2,
            "intermediate_size": 24,
            "out_hidden_size": hidden,
            "fullatt_block_indexes": [1],
            "window_size": 56,
            "initializer_range": 0.3,
        },
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=marks["vision_start"],
        vision_end_token_id=marks["vision_end"],
        tie_word_embeddings=bool(text.get("tie_word_embeddings", True)),
    )
    torch.manual_seed(seed)
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def save_plain(folder: Path) -> Path:
    """A folder as the built-in VLM's is saved."""
    tokenizer = word_tokenizer()
    model = build_model(tokenizer, seed=1)
    model.generation_config.eos_token_id = ends_of(tokenizer)
    model.save_pretrained(folder)
    images = Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=84 * 84)
    ImageOnlyQwen25VLProcessor(images, tokenizer, chat_template=PLAIN_TEMPLATE).save_pretrained(folder)
    return folder


def save_like_qwen(folder: Path) -> Path:
    """A folder with the files of Qwen2.5-VL-3B-Instruct: grouped-query attention, no named processor class, a default
    system turn, a generation configuration that asks for sampling and a repetition penalty."""
    tokenizer = byte_tokenizer()
    model = build_model(tokenizer, seed=2, num_hidden_layers=4, num_attention_heads=2, num_key_value_heads=1)
    model.save_pretrained(folder)
    tokenizer.chat_template = QWEN_TEMPLATE
    tokenizer.save_pretrained(folder, save_jinja_files=False)
    images = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "min_pixels": 56 * 56,
        "max_pixels": 112 * 112,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    generation = {"do_sample": True, "repetition_penalty": 1.05, "temperature": 1e-6}
    generation |= {"eos_token_id": ends_of(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    _write(folder / "preprocessor_config.json", images)
    _write(folder / "generation_config.json", generation)
    _write(folder / "chat_template.json", {"chat_template": QWEN_TEMPLATE})
    return folder


def write_adapter(folder: Path, model: Any, seed: int = 0) -> Path:
    """A LoRA adapter of the model's attention with random weights; the model is changed on the way."""
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(model, LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj"]))
    torch.manual_seed(seed)
    for name, weights in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weights, std=0.3)
    adapted.save_pretrained(folder)
    return folder


def draw_examples(folder: Path, count: int, seed: int = 0) -> list[Example]:
    """Examples with pictures of several sizes and shapes, questions and answers of several lengths."""
    draws = random.Random(seed)
    examples = []
    for number in range(count):
        size = (draws.choice([40, 56, 90]), draws.choice([56, 70, 120]))
        image = Image.new("RGB", size, _color(draws))
        corner = draws.randrange(20)
        ImageDraw.Draw(image).ellipse((corner, corner, corner + 25, corner + 30), fill=_color(draws))
        path = folder / f"{number}.png"
        image.save(path)
        question = " ".join(draws.choices(WORDS, k=draws.randrange(3, 8))) + "?"
        examples.append(Example(number, (path,), number, question, (" ".join(draws.choices(WORDS, k=1 + number % 3)),)))
    return examples


def draw_requests(examples: list[Example], count: int, shots: int = 4, seed: int = 0) -> list[Request]:
    """Prompts with 0 to `shots` demonstrations."""
    draws = random.Random(seed)
    return [
        Request(draws.choice(examples), tuple(draws.choices(examples, k=number % (shots + 1))))
        for number in range(count)
    ]


def _color(draws: random.Random) -> tuple[int, int, int]:
    return draws.randrange(256), draws.randrange(256), draws.randrange(256)


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))
