"""A Qwen2.5-VL model run in this process by transformers: the built-in one, a folder, or a hub id."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from transformers import AutoConfig, Qwen2_5_VLForConditionalGeneration

from shotsmith.builtin import VLM_PATH
from shotsmith.builtin.processor import load_processor
from shotsmith.errors import InputError, VLMError
from shotsmith.files import digest, file_digest
from shotsmith.recipe import VLMSettings
from shotsmith.records import Completion, Failure, Request
from shotsmith.vlms.allocation import keep_freed_memory
from shotsmith.vlms.decoding import Decoded, Decoder, Row
from shotsmith.vlms.onednn import use_onednn
from shotsmith.vlms.prompt_tokens import PromptTokens
from shotsmith.vlms.prompts import PROMPT_VERSION, cut_answer
from shotsmith.vlms.vision import VisionEncoder

_MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt")
"""The files that decide what a model answers: weights, configuration, tokenizer, chat template."""


class LocalVLM:
    """Answers few-shot prompts in batches; fulfils `shotsmith.vlms.protocol.VLM`."""

    def __init__(self, model: Any, processor: Any, *, identity: str, max_new_tokens: int, batch_tokens: int) -> None:
        self.identity = identity
        self.batch_tokens = batch_tokens
        self._tokenizer = processor.tokenizer
        self._read = lru_cache(maxsize=100_000)(self._read_tokens)
        self._prompts = PromptTokens(processor)
        self._vision = VisionEncoder(model, processor.image_processor)
        self._decoder = Decoder(model, max_new_tokens)

    def length(self, request: Request) -> int:
        """Tokens of the prompt, image tokens included."""
        images = sum(self._vision.tokens(example.image) for example in (*request.demonstrations, request.query))
        return images + sum(map(len, self._prompts.prompt(request)))

    def complete(self, requests: Sequence[Request]) -> list[Completion | Failure]:
        """Answer one batch, in order.

        A request with several answers takes one row for each, the first of which also gives the text; rows beyond the
        number of requests go into further passes of that size. Raises DataError for an image that cannot be decoded,
        VLMError where memory does not suffice for a single prompt.
        """
        rows: list[Row] = []
        places: list[tuple[int, str | None]] = []
        failures: dict[int, Failure] = {}
        for number, request in enumerate(requests):
            for row, answer in self._rows(request):
                if row is None:
                    failures[number] = Failure(f"the answer {answer!r} cannot be told from the prompt by its tokens")
                else:
                    rows.append(row)
                    places.append((number, answer))
        order = sorted(range(len(rows)), key=lambda place: not rows[place].text)
        results: list[Decoded | None] = [None] * len(rows)
        for start in range(0, len(order), max(len(requests), 1)):
            part = order[start : start + len(requests)]
            for place, result in zip(part, self._decode([rows[place] for place in part]), strict=True):
                results[place] = result
        return self._completions(requests, places, results, failures)

    def _rows(self, request: Request) -> list[tuple[Row | None, str | None]]:
        pieces = self._prompts.prompt(request)
        images = self._vision.encode([example.image for example in (*request.demonstrations, request.query)])
        if not request.answers:
            return [(Row(pieces, images, None, request.text), None)] if request.text else []
        rows: list[tuple[Row | None, str | None]] = []
        for answer in dict.fromkeys(request.answers):
            ids = self._prompts.answer(request, answer)
            rows.append((None if ids is None else Row(pieces, images, ids, request.text and not rows), answer))
        return rows

    def _decode(self, rows: list[Row]) -> list[Decoded]:
        """Decode rows in one pass, in halves where memory does not suffice."""
        try:
            return self._decoder.decode(rows)
        except (torch.OutOfMemoryError, MemoryError) as error:
            if len(rows) == 1:
                raise VLMError("memory does not suffice for a single prompt") from error
        torch.cuda.empty_cache()
        half = len(rows) // 2
        return self._decode(rows[:half]) + self._decode(rows[half:])

    def _read_tokens(self, tokens: tuple[int, ...]) -> str:
        return cut_answer(str(self._tokenizer.decode(list(tokens), skip_special_tokens=True)))

    def _completions(
        self,
        requests: Sequence[Request],
        places: Sequence[tuple[int, str | None]],
        results: Sequence[Decoded | None],
        failures: dict[int, Failure],
    ) -> list[Completion | Failure]:
        texts: dict[int, str] = {}
        log_probs: list[dict[str, float]] = [{} for _ in requests]
        for (number, answer), result in zip(places, results, strict=True):
            if result is None or not result.finite:
                failures.setdefault(number, Failure("the VLM's logits are not finite"))
                continue
            if result.tokens is not None:
                texts[number] = self._read(tuple(result.tokens))
            if answer is not None and result.log_prob is not None:
                log_probs[number][answer] = result.log_prob
        return [
            failures[number] if number in failures else Completion(texts.get(number), log_probs[number])
            for number in range(len(requests))
        ]


def load_vlm(settings: VLMSettings) -> LocalVLM:
    """Load the VLM a recipe names.

    Raises InputError where there is no such model, its files are damaged, it is of another kind than Qwen2.5-VL, or
    the device does not exist.
    """
    folder = _folder(settings.path)
    device = _device(settings.device)
    if device.type == "cpu":
        keep_freed_memory()
    try:
        config = AutoConfig.from_pretrained(folder)
        if config.model_type != "qwen2_5_vl":
            raise InputError(f"is a {config.model_type!r} model; a 'qwen2_5_vl' is needed", file=folder)
        processor = load_processor(folder)
        dtype = settings.dtype if settings.dtype == "auto" else getattr(torch, settings.dtype)
        model: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"cannot be loaded as a Qwen2.5-VL model: {error}", file=folder) from error
    model = model.to(device).eval()
    identity = _identity(folder, model, processor, settings)
    use_onednn(model)
    return LocalVLM(
        model,
        processor,
        identity=identity,
        max_new_tokens=settings.max_new_tokens,
        batch_tokens=settings.batch_tokens,
    )


def _identity(folder: Path, model: Any, processor: Any, settings: VLMSettings) -> str:
    """Model kind, content of its files, image processor, prompt version, decoding and arithmetic, readable."""
    files = sorted({file for pattern in _MODEL_FILES for file in folder.glob(pattern)})
    contents = digest(*(part for file in files for part in (file.name, file_digest(file))))
    return (
        f"{model.config.model_type} {contents} {type(processor.image_processor).__name__} prompt={PROMPT_VERSION} "
        f"greedy max_new_tokens={settings.max_new_tokens} dtype={str(model.dtype).removeprefix('torch.')}"
    )


def _folder(path: str) -> Path:
    if path == "builtin":
        return VLM_PATH
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if path.count("/") != 1 or path.startswith((".", "/", "~")):
        raise InputError("no such VLM folder", file=path, field="vlm.path")
    try:
        return Path(snapshot_download(path, allow_patterns=list(_MODEL_FILES)))
    except (OSError, ValueError) as error:
        raise InputError(
            f"neither a folder nor a model that the hub gives: {error}", file=path, field="vlm.path"
        ) from error


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"device {name!r} cannot be used: {reason}", field="vlm.device") from error
