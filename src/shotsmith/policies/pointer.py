"""The pointer policy: it reads a query and its candidates once, then points at one demonstration after the other.

The network is that of Lever-LM's pointer successor: cross-attention encoder, cosine scores, gated query state. Its
parts are modules of their own (encoder, memory, scorer). Axes: B queries, G sequences, T steps, K candidates, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from shotsmith.errors import InputError
from shotsmith.policies.encoder import CrossAttentionEncoder, Encoded
from shotsmith.policies.memory import MEMORIES
from shotsmith.policies.protocol import Inputs
from shotsmith.policies.scorer import Cosine
from shotsmith.recipe import PolicySettings

TIE = 1e-5
"""Log-probabilities closer than this are equal but for rounding."""


def build_policy(settings: PolicySettings, embedding_width: int, seed: int) -> PointerPolicy:
    """An untrained policy in eval mode. The same seed gives the same weights; the global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PointerPolicy(settings, embedding_width).eval()


class PointerPolicy(nn.Module):
    """A distribution over sequences without repetition (policies.protocol.Policy)."""

    def __init__(self, settings: PolicySettings, embedding_width: int) -> None:
        """`embedding_width` is D, the width of the embeddings it will be given."""
        super().__init__()
        self.settings = settings
        self.embedding_width = embedding_width
        self.encoder = CrossAttentionEncoder(settings, embedding_width)
        self.memory = MEMORIES[settings.memory](settings.hidden_size)
        self.scorer = Cosine(settings.temperature)

    def step_distributions(self, inputs: Inputs, sequences: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [B, G, T, K] at every step; -inf for padding and for candidates chosen earlier.

        At padded steps nothing but padding is excluded; what is there has no meaning.
        """
        encoded: Encoded = self.encoder(inputs)
        scores = self.scorer(self._states(encoded, sequences), encoded.candidates)
        blocked = ~inputs.mask[:, None, None, :] | _chosen_earlier(sequences, inputs.mask.shape[1])
        return functional.log_softmax(scores.masked_fill(blocked, -torch.inf), dim=-1)

    def log_prob(self, inputs: Inputs, sequences: torch.Tensor) -> torch.Tensor:
        """Log-probability of each step [B, G, T]; 0 where the sequence is padded."""
        return pick(self.step_distributions(inputs, sequences), sequences)

    @torch.no_grad()
    def sample(
        self, inputs: Inputs, shots: int, num: int, generator: torch.Generator, temperature: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`num` sequences per query [B, G, T] and their step log-probabilities under the sampling distribution."""

        def draw(log_probs: torch.Tensor) -> torch.Tensor:
            flat = torch.multinomial(log_probs.exp().flatten(0, 1), 1, generator=generator)
            return flat.view(log_probs.shape[:2])

        return self._decode(inputs, shots, num, draw, temperature)

    @torch.no_grad()
    def greedy(self, inputs: Inputs, shots: int) -> torch.Tensor:
        """The most probable candidate at each step [B, T]; ties go to the lower position."""

        def best(log_probs: torch.Tensor) -> torch.Tensor:
            return (log_probs >= log_probs.amax(-1, keepdim=True) - TIE).int().argmax(dim=-1)

        sequences, _ = self._decode(inputs, shots, 1, best)
        return sequences[:, 0]

    @torch.no_grad()
    def beam(self, inputs: Inputs, shots: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The best `width` sequences of a beam search, best first: [B, W, T] and log-probabilities [B, W].

        W is `width`, or less where no pool of the batch has so many sequences; a query with fewer than W
        sequences has rows of -1 with log-probability -inf at its end.
        """
        encoded = self._encode_for(inputs, shots)
        (size, pool), hidden = encoded.mask.shape, encoded.query.shape[-1]
        state, blocked = encoded.query[:, None], ~encoded.mask[:, None]
        totals = encoded.query.new_zeros(size, 1)
        sequences = torch.zeros(size, 1, 0, dtype=torch.int64, device=totals.device)
        for _ in range(shots):
            longer = (totals[..., None] + self._next(encoded, state, blocked, 1.0)).flatten(1)
            totals, best = (part[:, :width] for part in longer.sort(dim=-1, descending=True, stable=True))
            parent, choice = best // pool, best % pool
            sequences = torch.cat([_at(sequences, parent), choice[..., None]], dim=-1)
            blocked = _at(blocked, parent).scatter(-1, choice[..., None], True)
            chosen = encoded.candidates.gather(1, choice[..., None].expand(-1, -1, hidden))
            state = self.memory(_at(state, parent), chosen)
        exists = totals.isfinite()
        sequences = sequences.masked_fill(~exists[..., None], -1)
        return sequences[:, exists.any(0)], totals[:, exists.any(0)]

    def _decode(
        self,
        inputs: Inputs,
        shots: int,
        num: int,
        choose: Callable[[torch.Tensor], torch.Tensor],
        temperature: float = 1.0,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Walk `num` sequences per query; `choose` maps log-probabilities [B, G, K] to positions [B, G]."""
        encoded = self._encode_for(inputs, shots)
        state = encoded.query[:, None].expand(-1, num, -1)
        blocked = ~encoded.mask[:, None].expand(-1, num, -1)
        choices, values = [], []
        for _ in range(shots):
            log_probs = self._next(encoded, state, blocked, temperature)
            choice = choose(log_probs)
            choices.append(choice)
            values.append(pick(log_probs, choice))
            blocked = blocked.scatter(-1, choice[..., None], True)
            state = self.memory(state, _at(encoded.candidates, choice))
        return torch.stack(choices, dim=-1), torch.stack(values, dim=-1)

    def _next(self, encoded: Encoded, state: torch.Tensor, blocked: torch.Tensor, temperature: float) -> torch.Tensor:
        """Log-probabilities [B, G, K] of the next choice after `state` [B, G, H]."""
        scores = self.scorer(state, encoded.candidates) / temperature
        # Where everything is blocked (a beam that does not exist) log_softmax would give NaN.
        log_probs = functional.log_softmax(scores.masked_fill(blocked, -torch.inf), dim=-1)
        return log_probs.masked_fill(blocked, -torch.inf)

    def _states(self, encoded: Encoded, sequences: torch.Tensor) -> torch.Tensor:
        """The state before each step of given sequences: [B, G, T, H]."""
        state = encoded.query[:, None].expand(-1, sequences.shape[1], -1)
        states = [state]
        for choice in sequences.clamp(min=0).unbind(-1)[:-1]:
            state = self.memory(state, _at(encoded.candidates, choice))
            states.append(state)
        return torch.stack(states, dim=2)

    def _encode_for(self, inputs: Inputs, shots: int) -> Encoded:
        smallest = int(inputs.mask.sum(1).min()) if len(inputs.mask) else shots
        if shots > smallest:
            raise InputError(f"{shots} shots cannot be taken from a pool of {smallest}")
        encoded: Encoded = self.encoder(inputs)
        return encoded


def pick(log_probs: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """The entries of `log_probs` [..., K] at `positions` [...]; 0 where a position is -1."""
    picked = log_probs.gather(-1, positions.clamp(min=0)[..., None]).squeeze(-1)
    return picked.masked_fill(positions < 0, 0.0)


def _at(values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """`values` [B, N, C] at `rows` [B, W]: [B, W, C]."""
    return values.gather(1, rows[..., None].expand(-1, -1, values.shape[-1]))


def _chosen_earlier(sequences: torch.Tensor, pool: int) -> torch.Tensor:
    """[B, G, T, K] bool: which candidates an earlier step of the sequence chose (nothing at padded steps)."""
    real = (sequences >= 0)[..., None]
    chosen = functional.one_hot(sequences.clamp(min=0), pool) * real
    return ((chosen.cumsum(dim=2) - chosen) > 0) & real
