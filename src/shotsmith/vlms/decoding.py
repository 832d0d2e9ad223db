"""Greedy answers and log-probabilities of given answers, in one forward pass where they agree.

A row is a prompt and, where its log-probability is asked for, an answer to it. The answer is appended to the prompt,
and one pass over both gives the log-probability of its tokens. The same pass says what greedy decoding would have
emitted at each of these positions: as long as that is the answer's own token the answer serves as a draft that is
accepted (speculative decoding, arXiv 2211.17192, with the answer as its draft). Only rows that diverge, or have not
ended, are decoded further, token by token, from the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from shotsmith.vlms.prompt_tokens import Ids
from shotsmith.vlms.vision import ImageFeatures

_LOGIT_ROWS = 256
"""Positions whose logits are held at once: with a vocabulary of 150,000 they take 150 MB in float32."""


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt for the model."""

    pieces: Sequence[Ids]
    """Token ids before the first image, between images, and after the last."""
    images: Sequence[ImageFeatures]
    answer: Ids | None = None
    """Tokens whose log-probability is wanted."""
    text: bool = True
    """Whether greedy decoding is wanted."""


@dataclass(slots=True)
class Decoded:
    """What the model says to one row. A log-probability or token list that was not asked for is None."""

    tokens: list[int] | None
    """Greedy tokens up to, not including, the end token, at most `max_new_tokens`."""
    log_prob: float | None
    """Sum of the natural-log probabilities of the answer's tokens."""
    finite: bool = True
    """False where the model's logits were not finite: then the rest means nothing."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows side by side, padded on the left."""

    ids: torch.Tensor
    """[B, L]; what stands at images does not matter."""
    images: torch.Tensor
    """[B, L] true at the tokens of images."""
    mask: torch.Tensor
    """[B, L] 1 at tokens, 0 at padding."""
    positions: torch.Tensor
    """[3, B, L] M-RoPE positions."""
    following: Ids
    """[B] position of the first token after each prompt."""


@dataclass(slots=True)
class _Unfinished:
    """A row that is still being decoded."""

    row: int
    position: int
    """M-RoPE position of its newest token."""
    tokens: list[int]
    decoded: Decoded


class Decoder:
    """Runs rows through a `Qwen2_5_VLForConditionalGeneration`."""

    def __init__(self, model: Any, max_new_tokens: int) -> None:
        self._model = model
        self._max_new_tokens = max_new_tokens
        ends = model.generation_config.eos_token_id
        self._ends = frozenset([ends] if isinstance(ends, int) else ends or [])

    @torch.inference_mode()
    def decode(self, rows: Sequence[Row]) -> list[Decoded]:
        """Answer rows in one batch, padded on the left; order is kept. Plain greedy: no penalties, no sampling."""
        batch = self._batch(rows)
        cache = DynamicCache(config=self._model.config.get_text_config()) if any(row.text for row in rows) else None
        hidden = self._forward(self._embedded(batch, rows), batch.mask, batch.positions, cache)
        decoded: list[Decoded] = []
        unfinished: list[_Unfinished] = []
        for number, (row, (best, log_prob, finite)) in enumerate(zip(rows, self._read(hidden, rows), strict=True)):
            tokens = self._accepted(row, best) if row.text and finite else None
            decoded.append(Decoded(tokens, log_prob if row.answer is not None else None, finite))
            if tokens is not None and not self._finished(tokens):
                position = int(batch.following[number]) + len(tokens) - 1
                unfinished.append(_Unfinished(number, position, tokens, decoded[-1]))
        if unfinished and cache is not None:
            del hidden
            self._go_on(unfinished, rows, cache, batch.mask)
        for result in decoded:
            if result.tokens and result.tokens[-1] in self._ends:
                result.tokens.pop()
        return decoded

    def _batch(self, rows: Sequence[Row]) -> _Batch:
        """Lay the rows out and number their positions.

        Text advances all three axes (time, height, width) together; an image lays its rows and columns out from the
        position it starts at, and the text goes on after the larger of the two (arXiv 2409.12191, section 2.1).
        """
        lengths = [_length(row) for row in rows]
        width = max(lengths)
        ids = np.zeros((len(rows), width), dtype=np.int64)
        images = np.zeros((len(rows), width), dtype=np.bool_)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        positions = np.zeros((3, len(rows), width), dtype=np.int64)
        counting = np.arange(width)
        following = np.zeros(len(rows), dtype=np.int64)
        for number, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            start = width - length
            mask[number, start:] = 1
            position = 0
            for index, piece in enumerate(row.pieces):
                end = start + len(piece)
                ids[number, start:end] = piece
                positions[:, number, start:end] = counting[position : position + len(piece)]
                start, position = end, position + len(piece)
                if index < len(row.images):
                    image = row.images[index]
                    end = start + image.rows * image.columns
                    images[number, start:end] = True
                    positions[:, number, start:end] = position + _grid(image.rows, image.columns)
                    start, position = end, position + max(image.rows, image.columns)
            following[number] = position
            if row.answer is not None:
                ids[number, start:] = row.answer
                positions[:, number, start:] = counting[position : position + len(row.answer)]
        device = self._model.device
        ids_, images_, mask_, positions_ = (torch.from_numpy(a).to(device) for a in (ids, images, mask, positions))
        return _Batch(ids_, images_, mask_, positions_, following)

    def _embedded(self, batch: _Batch, rows: Sequence[Row]) -> torch.Tensor:
        embedded: torch.Tensor = self._model.get_input_embeddings()(batch.ids)
        features = [image.features for row in rows for image in row.images]
        embedded[batch.images] = torch.cat(features).to(embedded.device, embedded.dtype)
        return embedded

    def _forward(
        self, embedded: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache | None
    ) -> torch.Tensor:
        """Hidden states [B, L, D] after the last layer. Positions are always explicit: the model would guess them."""
        output = self._model.model(
            inputs_embeds=embedded,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        hidden: torch.Tensor = output.last_hidden_state
        return hidden

    def _read(self, hidden: torch.Tensor, rows: Sequence[Row]) -> list[tuple[list[int], float, bool]]:
        """For each row the most likely token after the prompt and after each token of its answer, the answer's
        log-probability, and whether the logits were finite."""
        counts = [1 if row.answer is None else len(row.answer) + 1 for row in rows]
        where_row = np.repeat(np.arange(len(rows)), counts)
        where_column = np.concatenate([np.arange(hidden.shape[1] - count, hidden.shape[1]) for count in counts])
        nothing = np.zeros(0, dtype=np.int64)
        targets = np.concatenate([np.append(nothing if row.answer is None else row.answer, 0) for row in rows])
        device = hidden.device
        chosen = hidden[torch.from_numpy(where_row).to(device), torch.from_numpy(where_column).to(device)]
        best, log_probs = self._scores(chosen, torch.from_numpy(targets).to(device))
        read = []
        stop = 0
        for count in counts:
            start, stop = stop, stop + count
            finite = bool(np.isfinite(log_probs[start:stop]).all())
            read.append((best[start:stop].tolist(), float(log_probs[start : stop - 1].sum()), finite))
        return read

    def _scores(self, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[Ids, np.ndarray[Any, np.dtype[np.float64]]]:
        """Most likely token and log-probability of the target [N] at hidden states [N, D]; float32 throughout."""
        best, log_probs = [], []
        for part, target in zip(hidden.split(_LOGIT_ROWS), targets.split(_LOGIT_ROWS), strict=True):
            logits = self._model.lm_head(part).float()
            best.append(logits.argmax(-1).cpu())
            log_probs.append(logits.log_softmax(-1).gather(-1, target[:, None])[:, 0].double().cpu())
        return torch.cat(best).numpy(), torch.cat(log_probs).numpy()

    def _accepted(self, row: Row, best: list[int]) -> list[int]:
        """The greedy tokens that one pass has settled: the answer's as far as they agree, and the one after."""
        agreed = 0
        if row.answer is not None:
            while agreed < len(row.answer) and best[agreed] == row.answer[agreed] and best[agreed] not in self._ends:
                agreed += 1
        return best[: agreed + 1][: self._max_new_tokens]

    def _finished(self, tokens: list[int]) -> bool:
        return len(tokens) >= self._max_new_tokens or tokens[-1] in self._ends

    def _go_on(
        self, unfinished: list[_Unfinished], rows: Sequence[Row], cache: DynamicCache, mask: torch.Tensor
    ) -> None:
        """Decode the rest of the rows token by token, from the cache; their token lists are extended in place."""
        for state in unfinished:
            answer = rows[state.row].answer
            rejected = 0 if answer is None else len(answer) - (len(state.tokens) - 1)
            if rejected:
                mask[state.row, -rejected:] = 0
        keep = [state.row for state in unfinished]
        while unfinished:
            if len(keep) < len(mask):
                index = torch.tensor(keep, device=mask.device)
                cache.batch_select_indices(index)
                mask = mask[index]
            mask = torch.nn.functional.pad(mask, (0, 1), value=1)
            last = torch.tensor([[state.tokens[-1]] for state in unfinished], device=mask.device)
            positions = torch.tensor([[state.position] for state in unfinished], device=mask.device)
            embedded = self._model.get_input_embeddings()(last)
            hidden = self._forward(embedded, mask, positions.expand(3, -1, -1), cache)
            best, log_probs = self._scores(hidden[:, -1], torch.zeros_like(last[:, 0]))
            for state, token, finite in zip(unfinished, best.tolist(), np.isfinite(log_probs), strict=True):
                state.tokens.append(token)
                state.position += 1
                state.decoded.finite &= bool(finite)
            keep = [place for place, state in enumerate(unfinished) if not self._finished(state.tokens)]
            unfinished = [unfinished[place] for place in keep]


def _length(row: Row) -> int:
    image_tokens = sum(image.rows * image.columns for image in row.images)
    answer_tokens = 0 if row.answer is None else len(row.answer)
    return sum(map(len, row.pieces)) + image_tokens + answer_tokens


@lru_cache(maxsize=1000)
def _grid(rows: int, columns: int) -> Ids:
    """Offsets [3, rows * columns] of an image's tokens on the axes of time, height and width."""
    height, width = np.divmod(np.arange(rows * columns), columns)
    return np.stack([np.zeros_like(height), height, width])
