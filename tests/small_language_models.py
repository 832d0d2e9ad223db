"""Folders of small causal language models with random weights and a chat template, one of each family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import small_families
import small_vlm
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

# Takes a turn's content as one text, trims it, and writes the beginning of the text itself, as Llama's does.
LLAMA_CHAT = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]\n{{ message['content'] | trim }}</s>"
    "{% endfor %}{% if add_generation_prompt %}[assistant]\n{% endif %}"
)
# Begins with no special token, though the tokenizer puts one before every text: as TinyLlama has it.
BARE_CHAT = (
    "{% for message in messages %}<{{ message['role'] }}>\n{{ message['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>\n{% endif %}"
)


def save_llama(folder: Path, template: str | None = LLAMA_CHAT) -> Path:
    return _save(folder, LlamaForCausalLM, LlamaConfig, small_families.sentence_tokenizer(bos=True), template)


def save_qwen2(folder: Path) -> Path:
    return _save(folder, Qwen2ForCausalLM, Qwen2Config, small_vlm.byte_tokenizer(), small_vlm.QWEN_TEMPLATE)


FAMILIES: Mapping[str, Callable[[Path], Path]] = {
    "llama": save_llama,
    "bare llama": lambda folder: save_llama(folder, BARE_CHAT),
    "qwen2": save_qwen2,
}


def _save(folder: Path, kind: Any, config: Any, tokenizer: PreTrainedTokenizerFast, template: str | None) -> Path:
    torch.manual_seed(len(kind.__name__))
    tokens = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    model = kind(config(**small_families.TEXT, vocab_size=len(tokenizer), **tokens)).eval()
    model.generation_config.repetition_penalty = 1.2  # to be ignored
    model.save_pretrained(folder)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder
