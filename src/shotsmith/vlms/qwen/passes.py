"""Sequences of several lengths put into forward passes: padding costs tokens, and so does every pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shotsmith.vlms.qwen.prefixes import PASS_TOKENS


def in_passes(lengths: Sequence[int], before: int, limit: int, pass_tokens: int = PASS_TOKENS) -> list[list[int]]:
    """Numbers of the sequences in each pass, so that all passes together cost the fewest tokens.

    A pass costs its tokens, padding included, and `pass_tokens`. With `before` tokens that every sequence continues,
    none looks at more than `limit` tokens, padding included, unless it holds one sequence alone.
    """
    order = sorted(range(len(lengths)), key=lambda number: (lengths[number], number))
    costs = np.zeros(len(order) + 1, dtype=np.int64)  # of the first n sequences
    starts = np.zeros(len(order) + 1, dtype=np.int64)  # where the last pass of the first n begins
    for end in range(1, len(order) + 1):
        longest = lengths[order[end - 1]]
        most = max(limit // (before + longest), 1)
        candidates = np.arange(max(end - most, 0), end)
        totals = costs[candidates] + (end - candidates) * longest
        best = int(totals.argmin())
        starts[end] = candidates[best]
        costs[end] = totals[best] + pass_tokens
    passes = []
    end = len(order)
    while end:
        passes.append(order[starts[end] : end])
        end = int(starts[end])
    return passes[::-1]
