"""The pointer network as it was published, written from its description alone: nothing of Shotsmith is in it.

Its state_dict has the published names. One query at a time may be traced by hand; there is no batching trick in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

TAKEN = -100.0
"""The score of a candidate that has been chosen."""


class PublishedNetwork(nn.Module):
    """v2 and v3 (a gate or none), and the variants v4-2 (GRU, step embedding) and v4-5 (other scorers)."""

    def __init__(
        self,
        width: int,
        hidden: int = 256,
        layers: int = 1,
        memory: str = "gate",
        scorer: str = "cosine",
        steps: int = 0,
        one_layer_names: bool = False,
    ) -> None:
        super().__init__()
        self.memory, self.scorer, self.temperature = memory, scorer, 0.1
        self.input_proj = nn.Identity() if width == hidden else nn.Linear(width, hidden, bias=False)
        attentions = [nn.MultiheadAttention(hidden, 1, dropout=0.1, batch_first=True) for _ in range(layers)]
        norms = [nn.LayerNorm(hidden) for _ in range(layers)]
        if one_layer_names:
            (self.cross_attn,), (self.attn_norm,) = attentions, norms
        else:
            self.cross_attn_layers, self.attn_norms = nn.ModuleList(attentions), nn.ModuleList(norms)
        self.layers = list(zip(attentions, norms, strict=True))
        self.query_proj = nn.Linear(hidden, hidden, bias=False)
        self.cand_proj = nn.Linear(hidden, hidden, bias=False)
        self.dropout = nn.Dropout(0.5)
        if memory == "gate":
            self.query_update_gate = nn.Linear(2 * hidden, hidden)
        if memory == "gru":
            self.decoder_gru = nn.GRUCell(hidden, hidden)
        if steps:
            self.step_emb = nn.Embedding(steps, hidden)
        if scorer == "additive":
            self.attn_Wq = nn.Linear(hidden, hidden)
            self.attn_Wc = nn.Linear(hidden, hidden, bias=False)
            self.attn_v = nn.Linear(hidden, 1, bias=False)
        if scorer == "bilinear":
            self.bilinear = nn.Bilinear(hidden, hidden, 1, bias=False)

    @classmethod
    def drawn(cls, seed: int, width: int, **others: object) -> PublishedNetwork:
        """A network in eval mode whose every weight, norms and biases too, is drawn anew."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = cls(width, **others).eval()
            for weight in network.parameters():
                nn.init.normal_(weight, std=0.5 / weight.shape[-1] ** 0.5 if weight.dim() > 1 else 0.5)
        return network

    @torch.no_grad()
    def logits(self, queries: torch.Tensor, candidates: torch.Tensor, choices: Sequence[int]) -> torch.Tensor:
        """Scores [B, T, K] before each of the `choices` (T), from embeddings [B, D] and [B, K, D]."""
        read = self.input_proj(candidates)
        query = self.input_proj(queries)[:, None]
        for attention, norm in self.layers:
            heard, _ = attention(query, read, read)
            query = norm(query + heard)
        state = functional.normalize(self.query_proj(self.dropout(query[:, 0])), dim=-1)
        units = functional.normalize(self.cand_proj(self.dropout(read)), dim=-1)
        taken = torch.zeros(units.shape[:2], dtype=torch.bool)
        steps = []
        for number, choice in enumerate(choices):
            steps.append(self._scores(self._at_step(state, number), units).masked_fill(taken, TAKEN))
            taken[:, choice] = True
            state = self._after(state, units[:, choice])
        return torch.stack(steps, dim=1)

    def _at_step(self, state: torch.Tensor, number: int) -> torch.Tensor:
        return (
            functional.normalize(state + self.step_emb.weight[number], dim=-1) if hasattr(self, "step_emb") else state
        )

    def _after(self, state: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        if self.memory == "gate":
            gate = torch.sigmoid(self.query_update_gate(torch.cat([state, chosen], dim=-1)))
            return functional.normalize(gate * state + (1 - gate) * chosen, dim=-1)
        if self.memory == "gru":
            return functional.normalize(self.decoder_gru(chosen, state), dim=-1)
        return state

    def _scores(self, state: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
        if self.scorer == "additive":
            raw = self.attn_v(torch.tanh(self.attn_Wq(state)[:, None] + self.attn_Wc(units))).squeeze(-1)
        elif self.scorer == "bilinear":
            raw = self.bilinear(state[:, None].expand_as(units).contiguous(), units).squeeze(-1)
        else:
            raw = (units @ state[..., None]).squeeze(-1)
        return raw / self.temperature
