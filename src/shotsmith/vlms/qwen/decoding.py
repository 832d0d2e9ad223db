"""Greedy answers and log-probabilities of given answers, in one forward pass where they agree.

A row is a prompt and, where its log-probability is asked for, an answer to it. The answer is appended to the prompt,
and one pass over both gives the log-probability of its tokens. The same pass says what greedy decoding would have
emitted at each of these positions: as long as that is the answer's own token the answer serves as a draft that is
accepted (speculative decoding, arXiv 2211.17192, with the answer as its draft). Only rows that diverge, or have not
ended, are decoded further, token by token, from the cache.

What several rows begin with is computed once where that saves work, level by level, and continued from its keys and
values. The rows that are decoded together decide all of this: the same rows give the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from shotsmith.vlms.prompting.prompt_tokens import Ids
from shotsmith.vlms.qwen.kept import Kept, joined
from shotsmith.vlms.qwen.layout import Batch, Line, Row, Span, in_line, side_by_side
from shotsmith.vlms.qwen.passes import in_passes
from shotsmith.vlms.qwen.prefixes import GPU_PASS_TOKENS, PASS_TOKENS, Plan, shared_beginnings
from shotsmith.vlms.work import Work

_LOGIT_ROWS = 256
"""Positions whose logits are held at once: with a vocabulary of 150,000 they take 150 MB in float32."""


@dataclass(slots=True)
class Decoded:
    """What the model says to one row. A log-probability or token list that was not asked for is None."""

    tokens: list[int] | None
    """Greedy tokens up to, not including, the end token, at most `max_new_tokens`."""
    log_prob: float | None
    """Sum of the natural-log probabilities of the answer's tokens."""
    finite: bool = True
    """False where the model's logits were not finite: then the rest means nothing."""


@dataclass(slots=True)
class _Unfinished:
    """A row that is still being decoded."""

    position: int
    """M-RoPE position of its newest token."""
    tokens: list[int]
    decoded: Decoded


@dataclass(frozen=True, slots=True)
class _Level:
    """The shared beginnings of one depth."""

    kept: Kept
    places: Mapping[int, int]
    """Number of a beginning in the plan -> its place among those kept."""


class Decoder:
    """Runs rows through a `Qwen2_5_VLForConditionalGeneration`.

    No pass looks at more than `limit` tokens, padding and shared beginnings included, unless it is of one row.
    """

    def __init__(self, model: Any, max_new_tokens: int, limit: int, work: Work, *, share: bool = True) -> None:
        self._model = model
        self._max_new_tokens = max_new_tokens
        self._limit = limit
        self._work = work
        self._pass_tokens = GPU_PASS_TOKENS if model.device.type == "cuda" else PASS_TOKENS
        layers = DynamicCache(config=model.config.get_text_config()).layers
        self._share = share and all(type(layer) is DynamicLayer for layer in layers)  # not with sliding windows
        ends = model.generation_config.eos_token_id
        self._ends = frozenset([ends] if isinstance(ends, int) else ends or [])

    @torch.inference_mode()
    def decode(self, rows: Sequence[Row]) -> list[Decoded]:
        """Answer rows in one batch; order is kept. Plain greedy: no penalties, no sampling."""
        numbers: dict[str, int] = {}
        lines = [in_line(row, numbers) for row in rows]
        plan = self._plan(lines)
        decoded: dict[int, Decoded] = {}
        unfinished: list[_Unfinished] = []
        caches: list[Kept] = []
        level: _Level | None = None
        for depth in range(-1, plan.levels):
            level = self._level(plan, depth, lines, level)
            here = [number for number in range(len(rows)) if plan.depth(plan.parents[number]) == depth]
            spans = [Span(lines[number], plan.length(plan.parents[number]), len(lines[number])) for number in here]
            parents = [plan.parents[number] for number in here]
            for places in self._passes(spans, level):
                members = [here[place] for place in places]
                keep = any(rows[member].text for member in members)
                hidden, kept = self._run(
                    [spans[place] for place in places], level, [parents[place] for place in places], keep=keep
                )
                going_on = self._answer(members, rows, lines, hidden, decoded)
                if going_on and kept is not None:
                    unfinished += going_on.values()
                    caches.append(_until_now(kept, going_on, [rows[member] for member in members]))
        self._work.rows += len(rows)
        self._work.tokens += sum(map(len, lines))
        if unfinished:
            self._go_on(unfinished, joined(caches))
        for result in decoded.values():
            if result.tokens and result.tokens[-1] in self._ends:
                result.tokens.pop()
        return [decoded[number] for number in range(len(rows))]

    def _plan(self, lines: Sequence[Line]) -> Plan:
        if not self._share:
            return Plan((), (-1,) * len(lines))
        return shared_beginnings([line.ids[: line.prompt] for line in lines], self._pass_tokens)

    def _level(self, plan: Plan, depth: int, lines: Sequence[Line], above: _Level | None) -> _Level | None:
        """Compute the shared beginnings of a depth, each from the one above that it continues."""
        numbers = [number for number, beginning in enumerate(plan.beginnings) if beginning.depth == depth]
        if not numbers:
            return None
        shared = [plan.beginnings[number] for number in numbers]
        spans = [Span(lines[one.prompt], plan.length(one.parent), one.length) for one in shared]
        parts: list[Kept] = []
        order: list[int] = []
        for places in self._passes(spans, above):
            parents = [shared[place].parent for place in places]
            _, kept = self._run([spans[place] for place in places], above, parents, keep=True)
            parts += [] if kept is None else [kept]
            order += places
        return _Level(joined(parts), {numbers[place]: row for row, place in enumerate(order)})

    def _passes(self, spans: Sequence[Span], level: _Level | None) -> list[list[int]]:
        """The numbers of the spans in each pass, all continuing beginnings of one level."""
        return in_passes([len(span) for span in spans], _width(level), self._limit, self._pass_tokens)

    def _run(
        self, spans: Sequence[Span], level: _Level | None, parents: Sequence[int], *, keep: bool
    ) -> tuple[torch.Tensor, Kept | None]:
        """One pass over spans that continue the beginnings `parents`: hidden states [B, W, D] and the whole cache."""
        batch = side_by_side(spans, self._model.device)
        mask = batch.mask
        cache = DynamicCache(config=self._model.config.get_text_config()) if keep else None
        if level is not None:
            index = torch.tensor([level.places[parent] for parent in parents], device=mask.device)
            mask = torch.cat([level.kept.mask[index], mask], 1)
            cache = level.kept.continued(index, keep=keep)
        hidden = self._forward(self._embedded(batch), mask, batch.positions, cache)
        computed = sum(map(len, spans))
        self._work.passes += 1
        self._work.computed += computed
        self._work.padding += batch.mask.numel() - computed
        return hidden, Kept.of(cache, mask) if keep and cache is not None else None

    def _embedded(self, batch: Batch) -> torch.Tensor:
        embedded: torch.Tensor = self._model.get_input_embeddings()(batch.ids)
        if batch.features:
            embedded[batch.images] = torch.cat(batch.features).to(embedded.device, embedded.dtype)
        return embedded

    def _forward(
        self, embedded: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache | None
    ) -> torch.Tensor:
        """Hidden states [B, W, D] after the last layer. Positions are always explicit: the model would guess them."""
        output = self._model.model(
            inputs_embeds=embedded,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        hidden: torch.Tensor = output.last_hidden_state
        return hidden

    def _answer(
        self,
        members: Sequence[int],
        rows: Sequence[Row],
        lines: Sequence[Line],
        hidden: torch.Tensor,
        decoded: dict[int, Decoded],
    ) -> dict[int, _Unfinished]:
        """Enter what a pass says to its rows; returns those to be decoded further, by their places in the pass."""
        going_on: dict[int, _Unfinished] = {}
        read = self._read(hidden, [rows[member] for member in members])
        for place, (member, (best, log_prob, finite)) in enumerate(zip(members, read, strict=True)):
            row = rows[member]
            tokens = self._accepted(row, best) if row.text and finite else None
            decoded[member] = Decoded(tokens, log_prob if row.answer is not None else None, finite)
            if tokens is not None and not self._finished(tokens):
                going_on[place] = _Unfinished(lines[member].following + len(tokens) - 1, tokens, decoded[member])
        return going_on

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

    def _go_on(self, unfinished: list[_Unfinished], kept: Kept) -> None:
        """Decode the rest of the rows token by token, from the cache; their token lists are extended in place."""
        mask = kept.mask
        cache = kept.continued(torch.arange(len(mask), device=mask.device), keep=True)
        keep = list(range(len(unfinished)))
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
            self._work.decoded += len(best)
            for state, token, finite in zip(unfinished, best.tolist(), np.isfinite(log_probs), strict=True):
                state.tokens.append(token)
                state.position += 1
                state.decoded.finite &= bool(finite)
            keep = [place for place, state in enumerate(unfinished) if not self._finished(state.tokens)]
            unfinished = [unfinished[place] for place in keep]


def _width(level: _Level | None) -> int:
    return 0 if level is None else level.kept.mask.shape[1]


def _until_now(kept: Kept, going_on: Mapping[int, _Unfinished], members: Sequence[Row]) -> Kept:
    """The keys and values of the rows to be decoded further, tokens of a draft that were rejected masked."""
    chosen = kept.rows(torch.tensor(list(going_on), device=kept.mask.device))
    for number, (place, state) in enumerate(going_on.items()):
        answer = members[place].answer
        rejected = 0 if answer is None else len(answer) - (len(state.tokens) - 1)
        if rejected:
            chosen.mask[number, -rejected:] = 0
    return chosen
