"""From step probabilities to sequences: sampling with and without replacement, greedy and beam search.

Decoders know nothing of what is inside a walk. Axes: B queries, G or W sequences, T steps, K candidates (of a pool, or
of the step's shortlist); C columns are K, or K + 1 where the last is STOP. A sequence that has stopped goes on as
padding, with probability 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn import functional

from shotsmith.policies.parts import State, rows_at
from shotsmith.policies.protocol import STOP, pick

TIE = 1e-5
"""Log-probabilities closer than this are equal but for rounding."""


class Walk(Protocol):
    """All sequences of a batch of queries, choice by choice."""

    @property
    def columns(self) -> int:
        """K: the choices of a step, STOP not counted."""
        ...

    def start(self) -> State:
        """Before the first choice, when all sequences of a query are still one."""
        ...

    def log_probs(self, state: State) -> torch.Tensor:
        """Log-probabilities [B, G, C] of the next choice; -inf where a candidate cannot be chosen."""
        ...

    def advance(self, state: State, choice: torch.Tensor) -> State:
        """After the choices [B, G]. Those of sequences that have ended are negative; their state has no meaning."""
        ...


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a decoder found."""

    sequences: torch.Tensor
    """[B, G, T] columns; -1 pads, STOP ends a sequence."""
    log_probs: torch.Tensor
    """[B, G, T] of every step, under the distribution used."""
    weights: torch.Tensor
    """[B, G]; 1 unless sampled without replacement."""
    state: State
    """The walk's state before the last choice, entries [B, G or 1, ...]."""


def sample(walk: Walk, shots: int, num: int, generator: torch.Generator, temperature: float = 1.0) -> Decoded:
    """`num` independent sequences per query."""

    def draw(log_probs: torch.Tensor) -> torch.Tensor:
        flat = torch.multinomial(log_probs.exp().flatten(0, 1), 1, generator=generator)
        return flat.view(log_probs.shape[:2])

    return _follow(walk, shots, num, draw, temperature)


def greedy(walk: Walk, shots: int) -> Decoded:
    """The most probable choice at each step (G = 1); ties go to the lower position."""

    def best(log_probs: torch.Tensor) -> torch.Tensor:
        return (log_probs >= log_probs.amax(-1, keepdim=True) - TIE).int().argmax(dim=-1)

    return _follow(walk, shots, 1, best)


def beam(walk: Walk, shots: int, width: int) -> Decoded:
    """The best `width` sequences of a beam search, best first.

    W is `width`, or less where no query of the batch has so many sequences; a query with fewer than W sequences has
    rows of -1 whose log-probabilities sum to -inf at its end.
    """
    state = walk.start()
    sequences = _nothing_chosen(state, 1)
    steps = torch.zeros(sequences.shape, device=sequences.device)
    totals = steps.sum(-1)
    for step in range(shots):
        state = walk.advance(state, sequences[..., -1]) if step else state
        log_probs = _continuations(walk, state, sequences)
        longer = (totals[..., None] + log_probs).flatten(1)
        totals, best = (part[:, :width] for part in longer.sort(dim=-1, descending=True, stable=True))
        parent, column = best // log_probs.shape[-1], best % log_probs.shape[-1]
        sequences = _longer(rows_at(sequences, parent), column, walk)
        value = log_probs.flatten(1).gather(1, best)
        steps = torch.cat([rows_at(steps, parent), value[..., None]], dim=-1)
        state = {name: rows_at(entry, parent) for name, entry in state.items()}
    exists = totals.isfinite()
    sequences = sequences.masked_fill(~exists[..., None], -1)
    some = exists.any(0)
    state = {name: entry[:, some] for name, entry in state.items()} if shots else state
    return Decoded(sequences[:, some], steps[:, some], torch.ones_like(totals[:, some]), state)


def sample_distinct(walk: Walk, shots: int, num: int, generator: torch.Generator, temperature: float = 1.0) -> Decoded:
    """`num` different sequences per query, and weights.

    Stochastic beam search (arXiv 1903.06059): each sequence has the log-probability plus Gumbel noise, drawn top-down,
    and the `num` largest are kept. What comes next, kappa, is the threshold they passed: sequence i did so with
    probability q_i = P(Gumbel(log p_i) > kappa), and its weight is p_i / q_i. Where a query has no more than `num`
    sequences all of them are returned, with weight p_i; rows of -1 with weight 0 fill up to `num`.
    """
    state = walk.start()
    sequences = _nothing_chosen(state, 1)
    # Double precision: probabilities of sequences, and differences of nearly equal perturbed values.
    steps = torch.zeros(sequences.shape, dtype=torch.float64, device=sequences.device)
    perturbed = _gumbel(torch.zeros_like(steps[..., :1].sum(-1)), generator)
    for step in range(shots):
        state = walk.advance(state, sequences[..., -1]) if step else state
        log_probs = _continuations(walk, state, sequences, temperature).double()
        totals = steps.sum(-1, keepdim=True) + log_probs
        noisy = _given_maximum(_gumbel(totals, generator), perturbed).flatten(1)
        perturbed, best = noisy.topk(min(num + 1, noisy.shape[-1]), dim=-1)
        parent, column = best // log_probs.shape[-1], best % log_probs.shape[-1]
        sequences = _longer(rows_at(sequences, parent), column, walk)
        value = log_probs.flatten(1).gather(1, best)
        steps = torch.cat([rows_at(steps, parent), value[..., None]], dim=-1)
        state = {name: rows_at(entry, parent) for name, entry in state.items()}
    missing = max(0, num + 1 - perturbed.shape[1])
    perturbed = functional.pad(perturbed, (0, missing), value=-torch.inf)
    sequences = functional.pad(sequences, (0, 0, 0, missing))[:, :num]
    steps = functional.pad(steps, (0, 0, 0, missing))[:, :num]
    state = {name: _padded_with_first(entry, missing)[:, :num] for name, entry in state.items()}
    exists, kappa = perturbed[:, :num] > -torch.inf, perturbed[:, num:]
    total = steps.sum(-1)
    weights = (total - torch.log(-torch.expm1(-torch.exp(total - kappa)))).exp()
    gone = ~exists[..., None]
    return Decoded(
        sequences.masked_fill(gone, -1),
        steps.masked_fill(gone, 0).float(),
        weights.masked_fill(~exists, 0).float(),
        state,
    )


def _follow(
    walk: Walk,
    shots: int,
    num: int,
    choose: Callable[[torch.Tensor], torch.Tensor],
    temperature: float = 1.0,
) -> Decoded:
    """Walk `num` sequences per query; `choose` maps log-probabilities [B, G, C] to columns [B, G]."""
    state = walk.start()
    sequences, values = _nothing_chosen(state, num), []
    for step in range(shots):
        state = walk.advance(state, sequences[..., -1]) if step else state
        log_probs = _continuations(walk, state, sequences, temperature)
        sequences = _longer(sequences, choose(log_probs), walk)
        values.append(pick(log_probs, sequences[..., -1]))
    log_probs = torch.stack(values, dim=-1) if values else torch.zeros(sequences.shape, device=sequences.device)
    return Decoded(sequences, log_probs, torch.ones_like(log_probs.sum(-1)), state)


def _continuations(walk: Walk, state: State, sequences: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """Log-probabilities [B, G, C] of the next choice of `sequences` [B, G, t].

    For those that have ended the last column is certain, and means padding.
    """
    log_probs = walk.log_probs(state)
    if temperature != 1.0:
        blocked = log_probs == -torch.inf
        # Where everything is blocked (a beam that does not exist) the softmax is NaN.
        log_probs = functional.log_softmax(log_probs / temperature, dim=-1).masked_fill(blocked, -torch.inf)
    only_padding = torch.full_like(log_probs[0, 0], -torch.inf)
    only_padding[-1] = 0.0
    return torch.where(_ended(sequences)[..., None], only_padding, log_probs)


def _longer(sequences: torch.Tensor, column: torch.Tensor, walk: Walk) -> torch.Tensor:
    """`sequences` [B, G, t] and the columns chosen next [B, G]: [B, G, t + 1]."""
    choice = torch.where(column == walk.columns, STOP, column).masked_fill(_ended(sequences), -1)
    return torch.cat([sequences, choice[..., None]], dim=-1)


def _nothing_chosen(state: State, num: int) -> torch.Tensor:
    """Sequences [B, G, 0]."""
    some = next(iter(state.values()))
    return torch.zeros(len(some), num, 0, dtype=torch.int64, device=some.device)


def _padded_with_first(entry: torch.Tensor, missing: int) -> torch.Tensor:
    """A state's entry [B, G, ...] with `missing` more sequences, copies of the first: what is there has no meaning."""
    return torch.cat([entry, entry[:, :1].expand(-1, missing, *entry.shape[2:])], dim=1) if missing else entry


def _ended(sequences: torch.Tensor) -> torch.Tensor:
    return (sequences < 0).any(-1)


def _gumbel(location: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Gumbel noise around `location`; -inf stays -inf."""
    uniform = torch.rand(location.shape, generator=generator, dtype=torch.float64, device=location.device)
    tiny = torch.finfo(torch.float64).tiny
    return location - torch.log(-torch.log(uniform.clamp(min=tiny)))


def _given_maximum(noisy: torch.Tensor, maximum: torch.Tensor) -> torch.Tensor:
    """Gumbels [B, W, C] made such that the largest of each row is `maximum` [B, W] (arXiv 1903.06059, appendix B)."""
    exists = noisy > -torch.inf
    highest, wanted = noisy.amax(-1, keepdim=True), maximum[..., None]
    change = wanted - noisy + _log_one_minus_exp(noisy - highest)
    made = wanted - change.clamp(min=0) - torch.log1p(torch.exp(-change.abs()))
    return torch.where(exists, made, -torch.inf)


def _log_one_minus_exp(values: torch.Tensor) -> torch.Tensor:
    """log(1 - exp(v)) for v <= 0, exact at both ends."""
    near = values > -0.6931
    return torch.where(near, torch.log(-torch.expm1(values)), torch.log1p(-torch.exp(values)))
