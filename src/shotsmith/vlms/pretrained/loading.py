"""A model of transformers with its processor, as a recipe names it, and what identifies it.

It is an image-text-to-text model, or a causal language model for examples without images.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log2
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
)

from shotsmith.builtin import VLM_PATH
from shotsmith.errors import InputError
from shotsmith.files import digest, file_digest
from shotsmith.recipe import VLMSettings
from shotsmith.vlms.pretrained.adapter import adapter_digest, merge_adapter
from shotsmith.vlms.pretrained.allocation import keep_freed_memory
from shotsmith.vlms.pretrained.processors import load_processor
from shotsmith.vlms.pretrained.text_models import load_text_processor
from shotsmith.vlms.prompting.prompts import Prompt, load_prompt
from shotsmith.whole_model import load_whole

_PROMPT_FILES = ("*.json", "*.jinja", "*.txt")
"""The files that decide what a model is sent: configuration, tokenizer, chat template."""

_MODEL_FILES = ("*.safetensors", *_PROMPT_FILES)
"""Those that decide what it answers."""

_DAMAGE = (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError, StrictDataclassError)
"""What transformers raises where files are missing or damaged, or do not fit each other."""

_CPU_TOKENS = 8192
_MOST_TOKENS = 131_072
_BYTES_PER_TOKEN = 600_000
"""Of a GPU's memory, so that a third of it stays with a model of three billion weights. Passes of fewer tokens leave a
large GPU idle between its operations (docs/scoring.md)."""


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A model ready to answer."""

    model: Any
    processor: Any
    prompt: Prompt
    identity: str
    """Everything but the request that decides a completion."""


def load_pretrained(settings: VLMSettings) -> Pretrained:
    """Load model, adapter, processor and prompt template.

    Raises InputError where there is no such model, its files are damaged or hold other weights than the model's, it is
    no model that answers prompts, it has no chat template and the layout needs one, or the device does not exist.
    """
    folder = model_folder(settings.path)
    device = _device(settings.device)
    if device.type == "cpu":
        keep_freed_memory()
    processor, prompt = load_processor_and_prompt(folder, settings)
    load = AutoModelForImageTextToText if processor.image_token is not None else AutoModelForCausalLM
    try:
        model = load_whole(
            load.from_pretrained,
            folder,
            dtype=_dtype(settings, device),
            attn_implementation=settings.attention,
            device_map=settings.device_map,
            trust_remote_code=False,
        )
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise InputError(f"its weights cannot be loaded: {reason}", file=folder) from error
    if settings.lora is not None:
        model = merge_adapter(model, Path(settings.lora).expanduser())
    if settings.device_map is None:
        model = model.to(device)
    return Pretrained(model.eval(), processor, prompt, _identity(folder, model, processor, prompt, settings))


def batch_tokens(settings: VLMSettings, model: Any) -> int:
    """Most tokens that a pass of the model sees: as the settings say, or as suits its device."""
    if settings.batch_tokens is not None:
        return settings.batch_tokens
    if model.device.type != "cuda":
        return _CPU_TOKENS
    return tokens_for(torch.cuda.get_device_properties(model.device).total_memory)


def tokens_for(gpu_bytes: int) -> int:
    """Most tokens in a pass on a GPU with so much memory: 16,384 with 16 GB, 131,072 from 80 GB on."""
    return int(min(max(2 ** floor(log2(max(gpu_bytes, 1) / _BYTES_PER_TOKEN)), _CPU_TOKENS), _MOST_TOKENS))


def load_processor_and_prompt(folder: Path, settings: VLMSettings) -> tuple[Any, Prompt]:
    """What turns requests into tokens, without any weights. Raises InputError as `load_pretrained` does."""
    prompt = load_prompt(settings.prompt)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        processor: Any
        if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
            processor = load_processor(folder, config)
        elif type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
            processor = load_text_processor(folder)
        else:
            what = "neither an image-text-to-text model nor a causal language model"
            raise InputError(f"is a {config.model_type!r} model, {what}", file=folder)
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"cannot be loaded as a model of images and text, or of text: {reason}", file=folder
        ) from error
    if settings.prompt.layout != "plain" and processor.chat_template is None:
        raise InputError("has no chat template: it needs the layout plain", file=folder, field="vlm.prompt.layout")
    return processor, prompt


def model_folder(path: str, *, weights: bool = True) -> Path:
    """Where the files of a model are. From the hub its `weights`, gigabytes of them, come only where they are wanted.

    Raises InputError where it is neither a folder nor to be had from the hub.
    """
    if path == "builtin":
        return VLM_PATH
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if path.count("/") != 1 or path.startswith((".", "/", "~")):
        raise InputError("no such VLM folder", file=path, field="vlm.path")
    try:
        return Path(snapshot_download(path, allow_patterns=list(_MODEL_FILES if weights else _PROMPT_FILES)))
    except (OSError, ValueError) as error:
        raise InputError(
            f"neither a folder nor a model that the hub gives: {error}", file=path, field="vlm.path"
        ) from error


def _identity(folder: Path, model: Any, processor: Any, prompt: Prompt, settings: VLMSettings) -> str:
    """Model kind, content of its files, image processor ('text' without), prompt, decoding and arithmetic, readable.

    What has its default value and came later goes unnamed, so that completions stored before stay known.
    """
    files = sorted({file for pattern in _MODEL_FILES for file in folder.glob(pattern)})
    contents = digest(*(part for file in files for part in (file.name, file_digest(file))))
    beams = f"beams={settings.num_beams} length_penalty={settings.length_penalty:g}"
    shown = "text" if processor.image_token is None else type(processor.image_processor).__name__
    parts = [
        f"{model.config.model_type} {contents} {shown} prompt={prompt.identity}",
        f"{'greedy' if settings.num_beams == 1 else beams} max_new_tokens={settings.max_new_tokens}",
        f"dtype={str(model.dtype).removeprefix('torch.')}",
    ]
    if settings.min_new_tokens:
        parts.append(f"min_new_tokens={settings.min_new_tokens}")
    if settings.attention != "sdpa":
        parts.append(f"attention={settings.attention}")
    if settings.lora is not None:
        parts.append(f"lora={adapter_digest(Path(settings.lora).expanduser())}")
    return " ".join(parts)


def _dtype(settings: VLMSettings, device: torch.device) -> torch.dtype | Literal["auto"]:
    if settings.dtype != "auto":
        return getattr(torch, settings.dtype)  # type: ignore[no-any-return]
    return torch.bfloat16 if device.type == "cuda" else "auto"


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"device {name!r} cannot be used: {reason}", field="vlm.device") from error
