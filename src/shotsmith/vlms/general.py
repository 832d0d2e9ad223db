"""Any image-text-to-text or language model of transformers: left-padded batches, `generate`, teacher forcing.

This is the way that works for every model; `vlms.local` is a faster one for greedy decoding with Qwen2.5-VL.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from transformers import GenerationConfig

from shotsmith.data.images import load_image
from shotsmith.errors import DataError, VLMError
from shotsmith.files import file_digest
from shotsmith.recipe import VLMSettings
from shotsmith.records import Completion, Failure, Request
from shotsmith.vlms.image_features import ImageFeatures, Shown
from shotsmith.vlms.pretrained.allocation import FreedMemory
from shotsmith.vlms.pretrained.kernels import steady_kernels
from shotsmith.vlms.pretrained.lengths import most_prompt_tokens
from shotsmith.vlms.pretrained.loading import Pretrained, batch_tokens
from shotsmith.vlms.prompting.image_tokens import ImageTokens
from shotsmith.vlms.prompting.lengths import PromptLengths
from shotsmith.vlms.prompting.prompt_tokens import Ids, PromptTokens
from shotsmith.vlms.vision_cache import open_vision_cache

_IMAGES_KEPT = 128
"""Decoded images in memory: at 640 x 480 about 120 MB."""
_NOT_FINITE = Failure("the VLM's logits are not finite")

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Row:
    """One prompt, or a prompt and an answer to it."""

    number: int
    """Place of its request in the batch."""
    request: Request
    answer: str = ""


class GeneralVLM:
    """Answers few-shot prompts in batches; fulfils `shotsmith.vlms.protocol.VLM`."""

    counts_tokens = True
    gives_log_probs = True

    def __init__(self, pretrained: Pretrained, settings: VLMSettings) -> None:
        self.identity = pretrained.identity
        self.batch_tokens = batch_tokens(settings, pretrained.model)
        self.most_tokens = most_prompt_tokens(pretrained.model, settings)
        self._model = pretrained.model
        self._processor = pretrained.processor
        self._cut = lru_cache(maxsize=100_000)(pretrained.prompt.cut)
        self._prompts = PromptTokens(pretrained.processor, pretrained.prompt)
        self._lengths = PromptLengths(self._prompts, ImageTokens(pretrained.processor))
        self._beams = settings.num_beams
        self._freed = FreedMemory()
        # The fast way keeps the same model's features in another form.
        cache = open_vision_cache(settings.vision_cache, f"{pretrained.identity} general")
        self._features = ImageFeatures(pretrained.model, pretrained.processor, self._placed, cache)
        self._accepted = frozenset(inspect.signature(self._model.forward).parameters)
        # Whatever sampling, penalties or lengths the checkpoint comes with are not asked for.
        self._model.generation_config = _decoding(self._model, pretrained.processor, settings)
        ends = self._model.generation_config.eos_token_id
        self._ends = frozenset([ends] if isinstance(ends, int) else ends or [])

    def length(self, request: Request) -> int:
        """Tokens of the prompt, image tokens included; no image is decoded for it."""
        return self._lengths(request)

    def complete(self, requests: Sequence[Request]) -> list[Completion | Failure]:
        """Answer one batch, in order: texts first, then the answers whose log-probability is asked for.

        Raises DataError for an image that cannot be decoded, VLMError where memory does not suffice for one prompt.
        """
        with steady_kernels():
            completions = self._complete(requests)
        self._freed.bound()
        return completions

    def _complete(self, requests: Sequence[Request]) -> list[Completion | Failure]:
        width = len(requests)
        failures: dict[int, Failure] = {}
        texts: dict[int, str] = {}
        log_probs: list[dict[str, float]] = [{} for _ in requests]
        unwritten = [_Row(n, asked) for n, asked in enumerate(requests) if asked.text]
        for row, text in zip(unwritten, _in_passes(self._generate, unwritten, width // self._beams), strict=True):
            if isinstance(text, Failure):
                failures[row.number] = text
            else:
                texts[row.number] = text
        given = [_Row(n, asked, answer) for n, asked in enumerate(requests) for answer in dict.fromkeys(asked.answers)]
        for row, log_prob in zip(given, _in_passes(self._score, given, width), strict=True):
            if isinstance(log_prob, Failure):
                failures[row.number] = log_prob
            else:
                log_probs[row.number][row.answer] = log_prob
        return [failures.get(n) or Completion(texts.get(n), log_probs[n]) for n in range(len(requests))]

    @torch.inference_mode()
    def _generate(self, rows: Sequence[_Row]) -> list[str | Failure]:
        inputs = self._inputs(rows)
        # With beams, rows are repeated before images are looked at.
        with self._features.of(_shown(rows)) if self._beams == 1 else nullcontext():
            output = self._model.generate(**inputs, return_dict_in_generate=True, output_logits=True)
        new = output.sequences[:, inputs["input_ids"].shape[1] :]
        finite = torch.stack([torch.isfinite(logits.float().logsumexp(-1)) for logits in output.logits])
        good = finite.reshape(len(output.logits), len(rows), -1).all(2).all(0).tolist()
        return [
            self._read(tokens) if is_good else _NOT_FINITE for tokens, is_good in zip(new.tolist(), good, strict=True)
        ]

    def _read(self, tokens: list[int]) -> str:
        """The answer in what was generated up to the first end token."""
        end = next((place for place, token in enumerate(tokens) if token in self._ends), len(tokens))
        return self._cut(str(self._processor.tokenizer.decode(tokens[:end], skip_special_tokens=True)))

    @torch.inference_mode()
    def _score(self, rows: Sequence[_Row]) -> list[float | Failure]:
        """Log-probabilities of answers, each from one pass over its prompt and itself."""
        told = [self._prompts.answer(row.request, row.answer) for row in rows]
        inputs = self._inputs(rows)
        longest = max([1, *(len(ids) for ids in told if ids is not None)])
        inputs |= self._positions(inputs)
        if "logits_to_keep" in self._accepted:
            inputs["logits_to_keep"] = longest + 1
        with self._features.of(_shown(rows)):
            logits = self._model(**inputs, use_cache=False).logits[:, -longest - 1 : -1]
        last = inputs["input_ids"][:, -longest:].to(logits.device)
        log_probs = logits.float().log_softmax(-1).gather(-1, last[..., None])[..., 0].double().cpu().numpy()
        ends = last.cpu().numpy()
        return [
            _log_prob(row.answer, ids, ends[place], log_probs[place])
            for place, (row, ids) in enumerate(zip(rows, told, strict=True))
        ]

    def _inputs(self, rows: Sequence[_Row]) -> dict[str, Any]:
        """What the processor makes of the rows, padded on the left, on the model's device."""
        texts = [self._prompts.text(row.request, row.answer) for row in rows]
        images = [[_decoded(image, file_digest(image)) for image in row.request.images] for row in rows]
        try:
            inputs = self._processor(
                text=texts,
                images=images if any(images) else None,
                padding=True,
                return_tensors="pt",
                add_special_tokens=self._prompts.adds_special_tokens(texts[0]),
            )
        except ValueError as error:
            if len(rows) > 1:  # find the one at fault
                for row in rows:
                    self._inputs([row])
            raise DataError(f"its prompt cannot be shown to the VLM: {error}", row=rows[0].request.query.id) from error
        return {name: self._placed(value) for name, value in inputs.items()}

    def _placed(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return value.to(self._model.device, self._model.dtype if value.is_floating_point() else None)

    def _positions(self, inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Explicit positions: of three axes where the model lays images out on them (M-RoPE, arXiv 2409.12191)."""
        mask = inputs["attention_mask"]
        along_text = (mask.cumsum(-1) - 1).clamp(min=0)
        rope_index = getattr(getattr(self._model, "model", None), "get_rope_index", None)
        if rope_index is None:
            return {"position_ids": along_text} if "position_ids" in self._accepted else {}
        if inputs.get("image_grid_thw") is None:
            return {"position_ids": along_text.expand(3, -1, -1)}
        if "mm_token_type_ids" not in inputs:
            return {}  # a model that tells images by other means than the Qwen family
        ids, kinds, grids = inputs["input_ids"], inputs["mm_token_type_ids"], inputs["image_grid_thw"]
        positions, _ = rope_index(ids, kinds, image_grid_thw=grids, attention_mask=mask)
        return {"position_ids": positions}


def _shown(rows: Sequence[_Row]) -> list[Shown]:
    """The images of a pass, in the order in which the model sees them."""
    return [
        Shown(content, _decoded(image, content), len(row.request.images) == 1)
        for row in rows
        for image in row.request.images
        for content in [file_digest(image)]
    ]


def _in_passes(run: Callable[[Sequence[_Row]], list[Result]], rows: Sequence[_Row], width: int) -> list[Result]:
    """The results of `width` rows at a time, in order; rows with and without images never share a pass."""
    results: dict[int, Result] = {}
    places = [[place for place, row in enumerate(rows) if bool(row.request.images) == shown] for shown in (True, False)]
    for some in places:
        for start in range(0, len(some), max(width, 1)):
            part = some[start : start + max(width, 1)]
            results |= zip(part, _in_halves(run, [rows[place] for place in part]), strict=True)
    return [results[place] for place in range(len(rows))]


def _in_halves(run: Callable[[Sequence[_Row]], list[Result]], rows: Sequence[_Row]) -> list[Result]:
    """The results of one pass, or of halves where memory does not suffice."""
    try:
        return run(rows)
    except (torch.OutOfMemoryError, MemoryError) as error:
        if len(rows) == 1:
            raise VLMError("memory does not suffice for a single prompt") from error
    torch.cuda.empty_cache()
    half = len(rows) // 2
    return _in_halves(run, rows[:half]) + _in_halves(run, rows[half:])


def _log_prob(answer: str, ids: Ids | None, ends: Ids, log_probs: np.ndarray[Any, Any]) -> float | Failure:
    """The sum over the answer's tokens, which are the last of the row."""
    if ids is None or not np.array_equal(ends[-len(ids) :], ids):
        return Failure(f"the answer {answer!r} cannot be told from the prompt by its tokens", permanent=True)
    total = float(log_probs[-len(ids) :].sum())
    return total if np.isfinite(total) else _NOT_FINITE


def _decoding(model: Any, processor: Any, settings: VLMSettings) -> GenerationConfig:
    """Greedy or beam decoding and nothing else; only the special tokens are the checkpoint's."""
    before = model.generation_config
    ends = before.eos_token_id if before.eos_token_id is not None else processor.tokenizer.eos_token_id
    searching = {"length_penalty": settings.length_penalty} if settings.num_beams > 1 else {}
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=settings.max_new_tokens,
        min_new_tokens=settings.min_new_tokens or None,
        num_beams=settings.num_beams,
        bos_token_id=before.bos_token_id,
        eos_token_id=ends,
        pad_token_id=processor.tokenizer.pad_token_id,
        **searching,
    )


@lru_cache(maxsize=_IMAGES_KEPT)
def _decoded(image: Path, _content: str) -> Image.Image:
    return load_image(image)
