"""A Qwen2.5-VL model run in this process by transformers: the built-in one, a folder, or a hub id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch

from shotsmith.errors import InputError, VLMError
from shotsmith.recipe import VLMSettings
from shotsmith.records import Completion, Failure, Request
from shotsmith.vlms.pretrained.allocation import FreedMemory
from shotsmith.vlms.pretrained.kernels import steady_kernels
from shotsmith.vlms.pretrained.lengths import most_prompt_tokens
from shotsmith.vlms.pretrained.loading import Pretrained, batch_tokens, load_pretrained
from shotsmith.vlms.prompting.prompt_tokens import PromptTokens
from shotsmith.vlms.prompting.prompts import DEFAULT_PROMPT, Prompt
from shotsmith.vlms.qwen.decoding import Decoded, Decoder
from shotsmith.vlms.qwen.fused import use_fused
from shotsmith.vlms.qwen.layout import Row
from shotsmith.vlms.qwen.onednn import use_onednn
from shotsmith.vlms.qwen.vision import VisionEncoder
from shotsmith.vlms.vision_cache import VisionCache, open_vision_cache
from shotsmith.vlms.work import Work


class LocalVLM:
    """Answers few-shot prompts in batches; fulfils `shotsmith.vlms.protocol.VLM`."""

    counts_tokens = True
    gives_log_probs = True

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        identity: str,
        max_new_tokens: int,
        batch_tokens: int,
        prompt: Prompt = DEFAULT_PROMPT,
        vision_cache: VisionCache | None = None,
        most_tokens: int | None = None,
    ) -> None:
        self.identity = identity
        self.most_tokens = most_tokens
        self.batch_tokens = batch_tokens
        self._tokenizer = processor.tokenizer
        self._read = lru_cache(maxsize=100_000)(self._read_tokens)
        self._prompt = prompt
        self._prompts = PromptTokens(processor, prompt)
        self._freed = FreedMemory()
        self.work = Work()
        """What has been done since it was loaded."""
        self._vision = VisionEncoder(model, processor.image_processor, self.work, vision_cache)
        self._decoder = Decoder(model, max_new_tokens, batch_tokens, self.work)

    def length(self, request: Request) -> int:
        """Tokens of the prompt, image tokens included."""
        images = sum(map(self._vision.tokens, request.images))
        return images + sum(map(len, self._prompts.prompt(request)))

    def complete(self, requests: Sequence[Request]) -> list[Completion | Failure]:
        """Answer one batch, in order.

        A request with several answers takes one row for each, the first of which also gives the text; they share the
        prompt's keys and values. Raises DataError for an image that cannot be decoded, VLMError where memory does not
        suffice for a single prompt.
        """
        with steady_kernels():
            completions = self._complete(requests)
        self._freed.bound()
        return completions

    def _complete(self, requests: Sequence[Request]) -> list[Completion | Failure]:
        rows: list[Row] = []
        places: list[tuple[int, str | None]] = []
        failures: dict[int, Failure] = {}
        for number, row, answer in self._rows(requests):
            if row is None:
                failures[number] = Failure(
                    f"the answer {answer!r} cannot be told from the prompt by its tokens", permanent=True
                )
            else:
                rows.append(row)
                places.append((number, answer))
        results = self._decode(rows) if rows else []
        return self._completions(requests, places, results, failures)

    def _rows(self, requests: Sequence[Request]) -> Iterator[tuple[int, Row | None, str | None]]:
        """The number of each request with each of its rows and the answer in it; None for a row that cannot be."""
        images = iter(self._vision.encode([image for request in requests for image in request.images]))
        for number, request in enumerate(requests):
            pieces = self._prompts.prompt(request)
            shown = [next(images) for _ in request.images]
            if request.text and not request.answers:
                yield number, Row(pieces, shown, None, text=True), None
            for place, answer in enumerate(dict.fromkeys(request.answers)):
                ids = self._prompts.answer(request, answer)
                text = request.text and place == 0
                yield number, None if ids is None else Row(pieces, shown, ids, text), answer

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
        return self._prompt.cut(str(self._tokenizer.decode(list(tokens), skip_special_tokens=True)))

    def _completions(
        self,
        requests: Sequence[Request],
        places: Sequence[tuple[int, str | None]],
        results: Sequence[Decoded],
        failures: dict[int, Failure],
    ) -> list[Completion | Failure]:
        texts: dict[int, str] = {}
        log_probs: list[dict[str, float]] = [{} for _ in requests]
        for (number, answer), result in zip(places, results, strict=True):
            if not result.finite:
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


def is_for(model: Any, settings: VLMSettings) -> bool:
    """Whether this way is one for the model: greedy decoding with Qwen2.5-VL on one device, by fused attention."""
    greedy = settings.num_beams == 1 and not settings.min_new_tokens
    whole = settings.device_map is None and settings.attention == "sdpa"
    return bool(model.config.model_type == "qwen2_5_vl" and greedy and whole)


def local_vlm(pretrained: Pretrained, settings: VLMSettings) -> LocalVLM:
    """The VLM of a loaded model that `is_for` says yes to."""
    if pretrained.model.device.type == "cuda":
        use_fused(pretrained.model)
    else:
        use_onednn(pretrained.model)
    return LocalVLM(
        pretrained.model,
        pretrained.processor,
        identity=pretrained.identity,
        max_new_tokens=settings.max_new_tokens,
        batch_tokens=batch_tokens(settings, pretrained.model),
        prompt=pretrained.prompt,
        vision_cache=open_vision_cache(settings.vision_cache, pretrained.identity),
        most_tokens=most_prompt_tokens(pretrained.model, settings),
    )


def load_vlm(settings: VLMSettings) -> LocalVLM:
    """Load a Qwen2.5-VL. Raises InputError as `load_pretrained` does, and for another kind of model or decoding."""
    pretrained = load_pretrained(settings)
    if not is_for(pretrained.model, settings):
        raise InputError("needs a Qwen2.5-VL model and greedy decoding on one device", file=settings.path)
    return local_vlm(pretrained, settings)
