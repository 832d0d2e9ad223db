"""Two-stage decoding: the best candidates by a first score are looked at again, side by side with the query."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional

from shotsmith.policies.parts import Encoded, rows_at
from shotsmith.policies.self_attention import SelfAttentionEncoder


class Refinement(nn.Module):
    """The best `top_m` candidates pass an attention block together with the query; the others stay as they are.

    Nothing is cut off: a sequence that leaves the best keeps its probability, and teaches the first score.
    """

    def __init__(self, hidden: int, heads: int, top_m: int, dropout: float, *, from_zero: bool = False) -> None:
        """`hidden` is H, which `heads` divides; `dropout` is that of the block.

        `from_zero`: what the block changes is weighed by a number that starts at zero, and not scaled to unit length.
        """
        super().__init__()
        self.top_m = top_m
        self.query_mark = nn.Parameter(torch.randn(hidden) / hidden**0.5)  # tells the query from the candidates
        self.block = SelfAttentionEncoder(hidden, heads, dropout)
        self.weight = nn.Parameter(torch.zeros(())) if from_zero else None

    def forward(self, encoded: Encoded, scores: torch.Tensor) -> Encoded:
        """The same, with new unit-length representations for the best by `scores` [B, K] (all, if there are fewer)."""
        order = scores.masked_fill(~encoded.mask, -torch.inf).argsort(dim=-1, descending=True, stable=True)
        best = order[:, : self.top_m]
        before, real = rows_at(encoded.compared, best), encoded.mask.gather(1, best)
        tokens = torch.cat([(encoded.query + self.query_mark)[:, None], before], dim=1)
        refined = self.block(tokens, functional.pad(real, (1, 0), value=True))[:, 1:]
        rows = best[..., None].expand_as(before)
        if self.weight is not None:
            after = torch.where(real[..., None], before + self.weight * (refined - before), before)
            unscaled = encoded.compared.scatter(1, rows, after)
            return replace(encoded, candidates=functional.normalize(unscaled, dim=-1), unscaled=unscaled)
        after = torch.where(real[..., None], functional.normalize(refined, dim=-1), before)
        return replace(encoded, candidates=encoded.candidates.scatter(1, rows, after))
