"""Training as the predecessor did it: one query at a time, its whole pool repeated for each of its sequences.

What policy_training.py measures Shotsmith's training against: the pointer network, RCE and GRPO written in the plainest
way, with a network of its own. Axes: G sequences of a query, T steps, K candidates, D embedding width, H hidden.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

BLOCKED = -100.0
MAX_STANDARDISED = 3.0


@dataclass(frozen=True)
class Query:
    """One query with its recorded rollouts."""

    embedding: torch.Tensor
    """[D]."""
    pool: torch.Tensor
    """[K, D]."""
    sequences: torch.Tensor
    """[G, T]."""
    rewards: torch.Tensor
    """[G]."""


class LoopNetwork(nn.Module):
    """Cross-attention from query to candidates, cosine / temperature, gated query state."""

    def __init__(self, width: int, hidden: int, dropout: float, attention_dropout: float, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.input_proj = nn.Linear(width, hidden, bias=False)
        self.cross_attn = nn.MultiheadAttention(hidden, 1, dropout=attention_dropout, batch_first=True)
        self.attn_norm = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)
        self.query_proj = nn.Linear(hidden, hidden, bias=False)
        self.cand_proj = nn.Linear(hidden, hidden, bias=False)
        self.query_update_gate = nn.Linear(2 * hidden, hidden)

    def forward(self, queries: torch.Tensor, pools: torch.Tensor, sequences: torch.Tensor) -> torch.Tensor:
        """Logits [G, T, K] of queries [G, D] and pools [G, K, D], one per sequence [G, T]."""
        candidates = self.input_proj(pools)
        state = self.input_proj(queries).unsqueeze(1)
        seen, _ = self.cross_attn(state, candidates, candidates)
        state = self.dropout(self.attn_norm(state + seen)).squeeze(1)
        state = functional.normalize(self.query_proj(state), dim=-1)
        candidates = functional.normalize(self.cand_proj(candidates), dim=-1)
        blocked = torch.zeros(candidates.shape[:2], dtype=torch.bool)
        rows = torch.arange(len(sequences))
        logits = []
        for choice in sequences.unbind(1):
            scores = torch.einsum("gh,gkh->gk", state, candidates) / self.temperature
            logits.append(scores.masked_fill(blocked, BLOCKED))
            blocked = blocked.scatter(1, choice[:, None], True)
            chosen = candidates[rows, choice]
            gate = torch.sigmoid(self.query_update_gate(torch.cat([state, chosen], dim=-1)))
            state = functional.normalize(gate * state + (1 - gate) * chosen, dim=-1)
        return torch.stack(logits, dim=1)


def load(weights: Mapping[str, torch.Tensor], width: int, **settings: float) -> LoopNetwork:
    """The network with the weights of a one-layer pointer policy."""
    named = {loop_name(name): value for name, value in weights.items()}
    network = LoopNetwork(width, hidden=len(named["query_proj.weight"]), **settings)
    network.load_state_dict(named)
    return network


def loop_name(name: str) -> str:
    """What the loop calls a weight of the policy."""
    short = name.removeprefix("encoder.").removeprefix("memory.")
    return short.replace("cross_attn_layers.0", "cross_attn").replace("attn_norms.0", "attn_norm")


def step_log_probs(network: LoopNetwork, query: Query) -> torch.Tensor:
    """Log-probability [G, T] of every step; embedding and pool are repeated for every sequence."""
    count = len(query.sequences)
    logits = network(
        query.embedding.expand(count, -1).contiguous(),
        query.pool.expand(count, -1, -1).contiguous(),
        query.sequences,
    )
    return logits.log_softmax(-1).gather(-1, query.sequences[..., None]).squeeze(-1)


def standardised(rewards: torch.Tensor) -> torch.Tensor:
    """z-scores with the unbiased deviation, clamped to +-3; 0 where all rewards are the same."""
    std = rewards.std()
    if std < 1e-6:
        return torch.zeros_like(rewards)
    return ((rewards - rewards.mean()) / std).clamp(-MAX_STANDARDISED, MAX_STANDARDISED)


def rce_loss(network: LoopNetwork, query: Query, tau: float) -> torch.Tensor:
    """sum_i softmax(r_i / tau) * cross-entropy of sequence i."""
    weights = (standardised(query.rewards) / tau).softmax(0)
    return -(weights * step_log_probs(network, query).sum(-1)).sum()


def grpo_loss(network: LoopNetwork, supervised: LoopNetwork, query: Query, epsilon: float, beta: float) -> torch.Tensor:
    """PPO's clipped surrogate on the ratio of whole sequences, and beta * mean(r - 1 - log r)."""
    with torch.no_grad():
        old = step_log_probs(supervised, query).sum(-1)
    log_ratio = step_log_probs(network, query).sum(-1) - old
    ratio = log_ratio.exp()
    advantages = standardised(query.rewards)
    clipped = ratio.clamp(1 - epsilon, 1 + epsilon)
    surrogate = -torch.minimum(ratio * advantages, clipped * advantages).mean()
    return surrogate + beta * (ratio - 1 - log_ratio).mean()


def optimizer_of(network: LoopNetwork, learning_rate: float) -> torch.optim.AdamW:
    return torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.01)


def rce_epoch(
    network: LoopNetwork, optimizer: torch.optim.Optimizer, queries: Sequence[Query], tau: float
) -> list[float]:
    """One update per query; the losses."""
    network.train()
    return [update(network, optimizer, rce_loss(network, query, tau)) for query in queries]


def grpo_epoch(
    network: LoopNetwork, optimizer: torch.optim.Optimizer, queries: Sequence[Query], epsilon: float, beta: float
) -> list[float]:
    """One update per query; ratios against the network as it is when the epoch begins."""
    supervised = copy.deepcopy(network).eval()
    network.eval()
    return [update(network, optimizer, grpo_loss(network, supervised, query, epsilon, beta)) for query in queries]


def update(network: LoopNetwork, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> float:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return loss.item()
