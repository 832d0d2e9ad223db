"""Settings of the candidates each query may be shown."""

from __future__ import annotations

from typing import Literal

from shotsmith.recipe.base import Count, Seed, Settings


class PoolSettings(Settings):
    """The candidates each query may be shown."""

    sampler: Literal["random", "image_similar", "text_similar", "mixed", "mix_sampler"] = "random"
    """How a pool is drawn from the bank. 'mixed' takes the highest sums of both cosines; 'mix_sampler' fills half of a
    pool at random, a quarter by text and a quarter by image."""
    size: Count = 64
    """Candidates per query."""
    seed: Seed = 0
    """Seed of what is drawn at random."""
    index: Literal["auto", "exact", "flat", "ivf"] = "auto"
    """How similar candidates are searched; `auto` is `exact` up to 50,000 train examples, `ivf` beyond."""
    probes: Count = 16
    """Lists of an `ivf` index that are searched for a query: more find more, and take longer."""
