"""Sequences over pools: each query has candidates of its own, encoded once (decoding.Walk)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from shotsmith.policies.parts import Encoded, Network, State, rows_at


@dataclass(frozen=True, slots=True)
class PoolWalk:
    """Sequences over encoded pools, choice by choice (decoding.Walk)."""

    policy: Network
    encoded: Encoded
    keys: torch.Tensor
    """[B, K, H]: what the scorer needs of the candidates."""
    alone: torch.Tensor | None = None
    """[B, 1, K]: what candidates score whatever was chosen, where the policy starts as similarity."""
    rows: torch.Tensor | None = None
    """[B, K]: the rows of the bank that the pools were taken from, if they were."""

    @property
    def mask(self) -> torch.Tensor:
        """[B, K] bool; False where a smaller pool is padded."""
        return self.encoded.mask

    @property
    def columns(self) -> int:
        """K."""
        return self.mask.shape[1]

    def start(self) -> State:
        """Before the first choice."""
        state = {"blocked": ~self.mask[:, None], "step": torch.zeros_like(self.mask[:, :1], dtype=torch.int64)}
        state |= self.policy.begin(self.encoded.query)
        for gain in self.policy.gain_parts:
            state |= gain.start(self.encoded)
        return state

    def scores(self, state: State) -> tuple[torch.Tensor, torch.Tensor]:
        """The query states [B, G, H], and the scores [B, G, K] of the candidates; -inf where they cannot be chosen."""
        queries = self.policy.asked(state)
        scores = self.policy.scorer(queries, self.keys)
        if self.alone is not None:
            scores = (scores + self.alone) / self.policy.temperature
        for gain in self.policy.gain_parts:
            scores = scores + gain.gain(self.encoded, state)
        return queries, scores.masked_fill(state["blocked"], -torch.inf)

    def log_probs(self, state: State) -> torch.Tensor:
        """Log-probabilities [B, G, C] of the next choice."""
        queries, scores = self.scores(state)
        return self.policy.distribution(queries, scores, state["step"])

    def advance(self, state: State, choice: torch.Tensor) -> State:
        """After the choices [B, G]. Negative ones end a sequence; what is blocked there afterwards has no meaning."""
        position = choice.clamp(min=0)
        shape = (*choice.shape, self.mask.shape[1])
        after = {
            "blocked": state["blocked"].expand(shape).scatter(-1, position[..., None], True),
            "step": (state["step"] + 1).expand(choice.shape),
        }
        chosen = rows_at(self.encoded.candidates, position)
        after |= self.policy.follow(state, chosen)
        for gain in self.policy.gain_parts:
            after |= gain.advance(self.encoded, state, position)
        return after

    def unblocked(self, state: State, padded: torch.Tensor) -> State:
        """`state` with nothing but padding blocked where `padded` [B, G], so that what follows is finite there."""
        blocked = state["blocked"] & ~padded[..., None] | ~self.mask[:, None]
        return {**state, "blocked": blocked}
