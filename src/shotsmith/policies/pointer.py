"""The pointer policy: it reads a query and its candidates once, then points at one demonstration after the other.

The network is that of Lever-LM's pointer successor, put together from parts by the settings: encoder, memory, scorer,
gains, slots, refinement, stop. Axes: B queries, G sequences, T steps, K candidates, C columns (K, or K + 1 with STOP),
H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from shotsmith.errors import InputError
from shotsmith.policies import decoding
from shotsmith.policies.encoder import CrossAttentionEncoder
from shotsmith.policies.gains import GAINS
from shotsmith.policies.memory import MEMORIES
from shotsmith.policies.parts import MAX_STEPS, Encoded, Gain, Memory, State, rows_at
from shotsmith.policies.protocol import Inputs, pick
from shotsmith.policies.refinement import Refinement
from shotsmith.policies.scorer import SCORERS, Scorer
from shotsmith.policies.slots import Slots
from shotsmith.policies.stop import StopHead
from shotsmith.policies.unit_length import unit_length
from shotsmith.recipe import PolicySettings


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
        hidden = settings.hidden_size
        self.settings = settings
        self.embedding_width = embedding_width
        self.encoder = CrossAttentionEncoder(settings, embedding_width)
        self.refinement = (
            Refinement(hidden, settings.heads, settings.top_m, settings.attention_dropout)
            if settings.decoding == "two_stage"
            else None
        )
        parallel = settings.decoding == "parallel"
        self.memory: Memory = Slots(hidden) if parallel else MEMORIES[settings.memory](settings)
        self.step_embedding = nn.Embedding(MAX_STEPS, hidden) if settings.step_embedding else None
        if self.step_embedding is not None:
            nn.init.normal_(self.step_embedding.weight, std=0.02)
        self.scorer: Scorer = SCORERS[settings.scorer](settings)
        self.gains = nn.ModuleDict({name: GAINS[name](settings) for name in settings.gains})
        self.stop = StopHead(hidden) if settings.length == "stop" else None

    @property
    def can_stop(self) -> bool:
        """Whether the distributions have a last column for STOP."""
        return self.stop is not None

    def step_distributions(self, inputs: Inputs, sequences: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [B, G, T, C] at every step; -inf for padding and for candidates chosen earlier.

        At padded steps nothing but padding is excluded; what is there has no meaning.
        """
        steps = self._teacher_forced(inputs, sequences)
        return torch.stack([log_probs.expand(-1, sequences.shape[1], -1) for log_probs in steps], dim=2)

    def log_prob(self, inputs: Inputs, sequences: torch.Tensor) -> torch.Tensor:
        """Log-probability of each step [B, G, T]; 0 where the sequence is padded."""
        steps = zip(self._teacher_forced(inputs, sequences), sequences.unbind(-1), strict=True)
        return torch.stack([pick(log_probs.expand(-1, choice.shape[1], -1), choice) for log_probs, choice in steps], -1)

    @torch.no_grad()
    def sample(
        self, inputs: Inputs, shots: int, num: int, generator: torch.Generator, temperature: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`num` sequences per query [B, G, T] and their step log-probabilities under the sampling distribution."""
        return decoding.sample(self._walk_for(inputs, shots), shots, num, generator, temperature)

    @torch.no_grad()
    def sample_distinct(
        self, inputs: Inputs, shots: int, num: int, generator: torch.Generator, temperature: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """`num` different sequences per query [B, G, T], their step log-probabilities, and their weights [B, G]."""
        return decoding.sample_distinct(self._walk_for(inputs, shots), shots, num, generator, temperature)

    @torch.no_grad()
    def greedy(self, inputs: Inputs, shots: int) -> torch.Tensor:
        """The most probable choice at each step [B, T]; ties go to the lower position, before STOP."""
        return decoding.greedy(self._walk_for(inputs, shots), shots)

    @torch.no_grad()
    def beam(self, inputs: Inputs, shots: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The best `width` sequences of a beam search, best first: [B, W, T] and log-probabilities [B, W].

        W is less than `width` where no pool of the batch has so many sequences; a query with fewer than W sequences
        has rows of -1 with log-probability -inf at its end.
        """
        return decoding.beam(self._walk_for(inputs, shots), shots, width)

    def walk(self, inputs: Inputs) -> PointerWalk:
        """Everything that is computed once per query."""
        walk = self._over(self.encoder(inputs))
        if self.refinement is None:
            return walk
        scores = walk.scores(walk.start())[1]
        return self._over(self.refinement(walk.encoded, scores[:, 0]))

    def _over(self, encoded: Encoded) -> PointerWalk:
        return PointerWalk(
            self, encoded, self.scorer.keys(encoded.candidates), cast(Sequence[Gain], list(self.gains.values()))
        )

    def _walk_for(self, inputs: Inputs, shots: int) -> PointerWalk:
        smallest = int(inputs.mask.sum(1).min()) if len(inputs.mask) else shots
        if shots > smallest and not self.can_stop:
            raise InputError(f"{shots} shots cannot be taken from a pool of {smallest}")
        return self.walk(inputs)

    def _teacher_forced(self, inputs: Inputs, sequences: torch.Tensor) -> Iterator[torch.Tensor]:
        """Log-probabilities [B, G, C] before each step of `sequences`; G is 1 at the first, which all share."""
        walk = self.walk(inputs)
        state = walk.start()
        yield walk.log_probs(state)
        for earlier, choice in zip(sequences.unbind(-1), sequences.unbind(-1)[1:], strict=False):
            state = walk.advance(state, earlier)
            yield walk.log_probs(walk.unblocked(state, choice == -1))


@dataclass(frozen=True, slots=True)
class PointerWalk:
    """Sequences over encoded pools, choice by choice (decoding.Walk)."""

    policy: PointerPolicy
    encoded: Encoded
    keys: torch.Tensor
    """[B, K, H]: what the scorer needs of the candidates."""
    gains: Sequence[Gain]

    @property
    def mask(self) -> torch.Tensor:
        """[B, K] bool; False where a smaller pool is padded."""
        return self.encoded.mask

    def start(self) -> State:
        """Before the first choice."""
        state = {"blocked": ~self.mask[:, None], "step": torch.zeros_like(self.mask[:, :1], dtype=torch.int64)}
        state |= self.policy.memory.start(self.encoded.query[:, None])
        for gain in self.gains:
            state |= gain.start(self.encoded)
        return state

    def scores(self, state: State) -> tuple[torch.Tensor, torch.Tensor]:
        """The query states [B, G, H], and the scores [B, G, K] of the candidates; -inf where they cannot be chosen."""
        queries = self.policy.memory.query(state)
        if self.policy.step_embedding is not None:
            queries = unit_length(queries + self.policy.step_embedding(state["step"]))
        scores = self.policy.scorer(queries, self.keys)
        for gain in self.gains:
            scores = scores + gain.gain(self.encoded, state)
        return queries, scores.masked_fill(state["blocked"], -torch.inf)

    def log_probs(self, state: State) -> torch.Tensor:
        """Log-probabilities [B, G, C] of the next choice."""
        queries, scores = self.scores(state)
        # Where everything is blocked log_softmax alone would give NaN.
        log_probs = functional.log_softmax(scores, dim=-1).masked_fill(state["blocked"], -torch.inf)
        if self.policy.stop is None:
            return log_probs
        go_on, stop = self.policy.stop(queries, scores, state["step"])
        return torch.cat([log_probs + go_on[..., None], stop[..., None]], dim=-1)

    def advance(self, state: State, choice: torch.Tensor) -> State:
        """After the choices [B, G]. Negative ones end a sequence; what is blocked there afterwards has no meaning."""
        position = choice.clamp(min=0)
        shape = (*choice.shape, self.mask.shape[1])
        after = {
            "blocked": state["blocked"].expand(shape).scatter(-1, position[..., None], True),
            "step": (state["step"] + 1).expand(choice.shape),
        }
        chosen = rows_at(self.encoded.candidates, position)
        after |= self.policy.memory.advance(state, chosen)
        for gain in self.gains:
            after |= gain.advance(self.encoded, state, position)
        return after

    def unblocked(self, state: State, padded: torch.Tensor) -> State:
        """`state` with nothing but padding blocked where `padded` [B, G], so that what follows is finite there."""
        blocked = state["blocked"] & ~padded[..., None] | ~self.mask[:, None]
        return {**state, "blocked": blocked}
