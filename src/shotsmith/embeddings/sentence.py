"""The family of text encoders in the layout of sentence-transformers (Reimers and Gurevych 2019, arXiv 1908.10084).

A folder holds a transformer, pooling, and the dense layers and normalisation that `modules.json` lists after it. The
package transformers runs it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer, T5EncoderModel

from shotsmith.embeddings.folder import (
    DAMAGE,
    Family,
    Placement,
    Tower,
    Towers,
    load_part,
    load_weights,
    one_line,
    read_config,
    top_files,
)
from shotsmith.errors import InputError
from shotsmith.files import read_json
from shotsmith.whole_model import NO_PLAIN_WEIGHTS, SAVE_AGAIN

MODULES = "modules.json"
"""The file by which such a folder is recognised."""

_UNUSED = ("pooler.", "cls.", "lm_head.", "head.", "decoder.", "vocab_", "classifier.", "embeddings.position_ids")
"""Prefixes of the weights of heads for pretraining and classification, which do not take part in embeddings."""
_UNLIMITED = 100_000
"""A number of tokens longer than any model reads: tokenizers without a limit report a huge number."""

Step = Callable[[torch.Tensor], torch.Tensor]
"""A layer after pooling: maps embeddings [B, D] to [B, D']."""
Pooled = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Pools tokens [B, L, D] with a mask [B, L, 1] of ones and zeros to [B, D]; padding stands at the end."""


def _mean(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (tokens * mask).sum(1) / mask.sum(1).clamp(min=1)


def _weighted_mean(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    weights = mask * torch.arange(1, tokens.shape[1] + 1, device=tokens.device).view(1, -1, 1)
    return (tokens * weights).sum(1) / weights.sum(1).clamp(min=1)


POOLINGS: Mapping[str, Pooled] = {
    "cls": lambda tokens, _mask: tokens[:, 0],
    "max": lambda tokens, mask: tokens.masked_fill(mask == 0, -torch.inf).amax(1),
    "mean": _mean,
    "mean_sqrt_len_tokens": lambda tokens, mask: (tokens * mask).sum(1) / mask.sum(1).clamp(min=1).sqrt(),
    "weightedmean": _weighted_mean,
    "lasttoken": lambda tokens, mask: tokens[
        torch.arange(len(tokens), device=tokens.device), mask[:, :, 0].sum(1).long() - 1
    ],
}
"""The ways to pool token embeddings into one; several are concatenated in this order."""

_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""The names of poolings in folders saved by sentence-transformers before version 6."""

_ACTIVATIONS: Mapping[str, Step] = {
    "Identity": lambda values: values,
    "Tanh": torch.tanh,
    "ReLU": torch.relu,
    "GELU": torch.nn.functional.gelu,
    "SiLU": torch.nn.functional.silu,
    "Sigmoid": torch.sigmoid,
}


def _load(folder: Path, place: Placement) -> Towers:
    """The text tower; a module that is not supported is an error."""
    kinds = _modules(folder)
    if [kind for kind, _ in kinds[:2]] != ["Transformer", "Pooling"]:
        raise InputError("does not begin with the modules Transformer and Pooling", file=folder / MODULES)
    (_, body), (_, pooling), *later = kinds
    modes = _modes(pooling)
    steps = [_STEPS[kind](part, place) for kind, part in later]
    config = read_config(body / "config.json")
    model = load_weights(T5EncoderModel if config.get("model_type") == "t5" else AutoModel, body, place, _UNUSED)
    tokenizer = load_part(AutoTokenizer, body, "tokenizer", trust_remote_code=False)
    lower, told = _reading(body)
    longest = _longest(told, tokenizer, model.config)
    prompt = _prompt(folder)
    accepted = inspect.signature(model.forward).parameters.keys()

    def texts(batch: Sequence[str]) -> torch.Tensor:
        read = [prompt + text for text in batch]
        tokens = tokenizer(
            [text.lower() for text in read] if lower else read,
            padding=True,
            truncation=longest is not None,
            max_length=longest,
            padding_side="right",
            return_tensors="pt",
        ).to(model.device)
        hidden = model(**{name: value for name, value in tokens.items() if name in accepted}).last_hidden_state.float()
        mask = tokens["attention_mask"][:, :, None].float()
        embedded = torch.cat([POOLINGS[mode](hidden, mask) for mode in modes], dim=1)
        for step in steps:
            embedded = step(embedded)
        return embedded

    return Towers(texts=Tower(_widths(folder)[1], texts))


def _widths(folder: Path) -> tuple[int, int]:
    width = 0
    for kind, part in _modules(folder):
        if kind == "Pooling":
            config = read_config(part / "config.json")
            width = _integer(config, part, "embedding_dimension", "word_embedding_dimension") * len(_modes(part))
        elif kind == "Dense":
            width = _integer(read_config(part / "config.json"), part, "out_features")
    return 0, width


def _files(folder: Path) -> list[Path]:
    """The files of the folder and of its modules."""
    parts = [part for _, part in _modules(folder) if part != folder]
    return [*top_files(folder), *(file for part in parts for file in top_files(part))]


SENTENCE = Family("sentence", _load, _widths, _files)


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """The kind and folder of every module, in order."""
    file = folder / MODULES
    listed = read_json(file)
    found = []
    for row, module in enumerate(listed if isinstance(listed, list) else [None]):
        if not (isinstance(module, dict) and isinstance(module.get("type"), str)):
            raise InputError("is not a list of modules with a type each", file=file, row=row)
        kind, part = module["type"].rpartition(".")[2], (folder / str(module.get("path", ""))).resolve()
        if kind not in {"Transformer", "Pooling", *_STEPS}:
            supported = f"Transformer, Pooling, {', '.join(_STEPS)}"
            raise InputError(f"the module {module['type']} is none of those supported: {supported}", file=file, row=row)
        if not part.is_relative_to(folder.resolve()):
            raise InputError("the module lies outside the folder", file=file, row=row)
        found.append((kind, folder / part.relative_to(folder.resolve())))
    return found


def _modes(part: Path) -> list[str]:
    """The names of the poolings that a Pooling module concatenates."""
    file = part / "config.json"
    config = read_config(file)
    told = config.get("pooling_mode", [mode for flag, mode in _FLAGS.items() if config.get(flag)] or "mean")
    modes = [told] if isinstance(told, str) else list(told)
    for mode in modes:
        if mode not in POOLINGS:
            raise InputError(f"'{mode}' is none of {', '.join(POOLINGS)}", file=file, field="pooling_mode")
    return modes


def _reading(body: Path) -> tuple[bool, int | None]:
    """Whether texts are lower-cased, and the largest number of tokens that the folder sets."""
    for file in sorted(body.glob("sentence_*_config.json")):
        config = read_config(file)
        task = config.get("transformer_task", "feature-extraction")
        if task != "feature-extraction":
            raise InputError(f"'{task}' is not supported, only feature-extraction", file=file, field="transformer_task")
        return bool(config.get("do_lower_case")), config.get("max_seq_length")
    return False, None


def _longest(told: int | None, tokenizer: Any, config: Any) -> int | None:
    """The largest number of tokens of a text: that of the folder, else of tokenizer and model; None for none."""
    if told is not None:
        return told
    positions = getattr(config, "max_position_embeddings", None)
    known = [limit for limit in (tokenizer.model_max_length, positions) if limit is not None and 0 < limit < _UNLIMITED]
    return min(known, default=None)


def _prompt(folder: Path) -> str:
    """The default prompt of the folder, which precedes every text; empty where it has none."""
    file = folder / "config_sentence_transformers.json"
    config = read_config(file) if file.exists() else {}
    name = config.get("default_prompt_name")
    if name is None:
        return ""
    prompts = config.get("prompts") or {}
    if not isinstance(prompts.get(name), str):
        raise InputError(f"'{name}' is none of the prompts", file=file, field="default_prompt_name")
    return str(prompts[name])


def _normalize(part: Path, _place: Placement) -> Step:
    file = part / "config.json"
    if file.exists():
        _check_plain(read_config(file), file)
    return lambda values: torch.nn.functional.normalize(values, dim=-1)


def _dense(part: Path, place: Placement) -> Step:
    file = part / "config.json"
    config = read_config(file)
    _check_plain(config, file)
    name = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    activation = _ACTIVATIONS.get(name.rpartition(".")[2]) if name.startswith("torch.nn.") else None
    if activation is None:
        raise InputError(f"'{name}' is none of {', '.join(_ACTIVATIONS)}", file=file, field="activation_function")
    inputs, outputs = (_integer(config, part, key) for key in ("in_features", "out_features"))
    layer = torch.nn.Linear(inputs, outputs, bias=bool(config.get("bias", True)))
    weights = part / "model.safetensors"
    try:
        if weights.exists():
            stored = load_file(weights)
        else:
            weights = part / "pytorch_model.bin"
            stored = torch.load(weights, map_location="cpu", weights_only=True)
        if not isinstance(stored, dict) or not all(isinstance(value, torch.Tensor) for value in stored.values()):
            raise InputError("holds no weights of a layer, but something else than names and tensors", file=weights)
        layer.load_state_dict({key.removeprefix("linear."): value.float() for key, value in stored.items()})
    except NO_PLAIN_WEIGHTS as error:
        raise InputError(f"does not hold the weights of the layer: {SAVE_AGAIN}", file=weights) from error
    except (*DAMAGE, AttributeError) as error:
        raise InputError(f"does not hold the weights of the layer: {one_line(error)}", file=weights) from error
    layer = layer.requires_grad_(False).to(place.device)
    return lambda values: activation(layer(values))


_STEPS: Mapping[str, Callable[[Path, Placement], Step]] = {"Normalize": _normalize, "Dense": _dense}
"""The modules that may follow Pooling."""


def _check_plain(config: Mapping[str, Any], file: Path) -> None:
    """Raises InputError for a layer that does not map the embedding to the embedding, or that is residual."""
    for field in ("module_input_name", "module_output_name"):
        if config.get(field) not in (None, "sentence_embedding"):
            raise InputError(f"'{config[field]}' is not supported, only sentence_embedding", file=file, field=field)
    if config.get("use_residual"):
        raise InputError("residual layers are not supported", file=file, field="use_residual")


def _integer(config: Mapping[str, Any], part: Path, *names: str) -> int:
    for name in names:
        if isinstance(config.get(name), int):
            return int(config[name])
    raise InputError("is not a whole number", file=part / "config.json", field=names[0])
