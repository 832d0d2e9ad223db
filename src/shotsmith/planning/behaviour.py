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
    """Visits to a query after which 63 % of the way from the first to the second of these values is gone."""
    shown: float
    """Share of the demonstrations that a STOP policy may show which it shows."""
    unsolved: tuple[float, float]
    """Test queries that no selector has answered as well as can be with one demonstration; and those that are left
    to the oracle after its first round."""
    unsolved_longer: tuple[float, float]
    """The same with several demonstrations."""
    unsolved_after_beam: float
    """What is left of these shares where beam search has seen the true answers before."""

    def settled(self, pair: tuple[float, float], visits: float) -> float:
        """A value on its way from the first to the second of `pair`."""
        first, last = pair
        return last + (first - last) * math.exp(-visits / self.settling)


EXPECTED = Behaviour(
    similar_agree=0.3,
    sampled_agree=(0.12, 0.30),
    visits_agree=0.13,
    epochs_agree=0.42,
    policies_agree=0.45,
    no_signal=(0.45, 0.73),
    settling=3.0,
    shown=0.85,
    unsolved=(0.38, 0.31),
    unsolved_longer=(0.27, 0.13),
    unsolved_after_beam=0.2,
)
LOW = Behaviour(
    similar_agree=0.6,
    sampled_agree=(0.2, 0.45),
    visits_agree=0.3,
    epochs_agree=0.7,
    policies_agree=0.7,
    no_signal=(0.3, 0.55),
    settling=3.0,
    shown=0.5,
    unsolved=(0.2, 0.15),
    unsolved_longer=(0.12, 0.05),
    unsolved_after_beam=0.0,
)
HIGH = Behaviour(
    similar_agree=0.2,
    sampled_agree=(0.08, 0.2),
    visits_agree=0.08,
    epochs_agree=0.3,
    policies_agree=0.3,
    no_signal=(0.6, 0.88),
    settling=3.0,
    shown=1.0,
    unsolved=(0.55, 0.5),
    unsolved_longer=(0.45, 0.35),
    unsolved_after_beam=1.0,
)
