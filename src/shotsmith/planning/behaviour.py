"""What decides how many prompts are new: how policy, VLM and data behave, in named numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Shares and chances that no recipe says. docs/scale.md tells from which runs the defaults come.

    Chances that two sequences agree are those of one demonstration; two sequences of n agree with the n-th power.
    """

    similar_agree: float
    """Two of the similar selectors (image, text, mixed) choose the same demonstration."""
    sampled_agree: tuple[float, float]
    """Two sequences sampled in one group begin alike: before GRPO, and once the policy has settled."""
    visits_agree: float
    """A sequence sampled at one visit to a query agrees with one of another visit, epoch or seed."""
    epochs_agree: float
    """The greedy sequences of a validation query agree in two epochs."""
    policies_agree: float
    """Two trained policies choose the same demonstration for a test query."""
    no_signal: tuple[float, float]
    """Groups without signal among those sampled: before GRPO, and once the policy has settled."""
    settling: float
    """Groups a seed of GRPO learns from until 63 % of the way from the first to the second of these values is gone."""
    shown: tuple[float, float]
    """Share of the demonstrations that a STOP policy may show which it shows: before GRPO, and once it has settled."""
    unsolved: tuple[float, float]
    """Test queries that no selector has answered as well as can be with one demonstration; and those that are left
    to the oracle after its first round."""
    unsolved_longer: tuple[float, float]
    """The same with several demonstrations."""
    unsolved_after_beam: float
    """What is left of these shares where beam search has seen the true answers before."""
    unsolved_in_similar: float
    """What is left of them where pools are drawn by similarity: most then hold a demonstration that helps."""

    def settled(self, pair: tuple[float, float], groups: float) -> float:
        """A value on its way from the first to the second of `pair`, after so many groups."""
        first, last = pair
        return last + (first - last) * math.exp(-groups / self.settling)


# Measured on eight runs of eight recipes with the built-in VLM (docs/scale.md): about their mean, and their extremes.
EXPECTED = Behaviour(
    similar_agree=0.4,
    sampled_agree=(0.18, 0.29),
    visits_agree=0.16,
    epochs_agree=0.68,
    policies_agree=0.7,
    no_signal=(0.49, 0.77),
    settling=1000.0,
    shown=(0.62, 0.98),
    unsolved=(0.4, 0.32),
    unsolved_longer=(0.3, 0.17),
    unsolved_after_beam=0.2,
    unsolved_in_similar=0.35,
)
LOW = Behaviour(
    similar_agree=0.85,
    sampled_agree=(0.23, 0.39),
    visits_agree=0.23,
    epochs_agree=0.95,
    policies_agree=0.95,
    no_signal=(0.37, 0.54),
    settling=1000.0,
    shown=(0.4, 0.6),
    unsolved=(0.3, 0.24),
    unsolved_longer=(0.16, 0.07),
    unsolved_after_beam=0.0,
    unsolved_in_similar=0.04,
)
HIGH = Behaviour(
    similar_agree=0.25,
    sampled_agree=(0.07, 0.21),
    visits_agree=0.08,
    epochs_agree=0.4,
    policies_agree=0.4,
    no_signal=(0.61, 0.82),
    settling=1000.0,
    shown=(0.75, 1.0),
    unsolved=(0.5, 0.42),
    unsolved_longer=(0.42, 0.3),
    unsolved_after_beam=1.0,
    unsolved_in_similar=0.6,
)
