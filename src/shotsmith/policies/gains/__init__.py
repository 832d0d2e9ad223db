"""What is added to a candidate's score for what has been chosen before it: one idea a file, all of them by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from shotsmith.policies.gains.coverage import Coverage
from shotsmith.policies.gains.dpp import Dpp, DppMaxSimilarity
from shotsmith.policies.gains.mmr import Mmr
from shotsmith.recipe import PolicySettings

GAINS: dict[str, Callable[[PolicySettings], nn.Module]] = {
    "mmr": lambda _settings: Mmr(),
    "coverage": lambda settings: Coverage(settings.hidden_size, settings.topics),
    "dpp": lambda settings: Dpp(settings.hidden_size, settings.dpp_rank),
    "dpp_max_similarity": lambda settings: DppMaxSimilarity(settings.hidden_size, settings.dpp_rank),
}
"""Every gain (policies.parts.Gain) by its name in `policy.gains`."""
