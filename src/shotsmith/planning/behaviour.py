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
    epochs_agree_recorded: float
    """The same in a phase that learns from recorded rollouts: RCE, and GRPO where its groups are recorded."""
    policies_agree: float
    """Two trained policies choose the same demonstration for a test query."""
    no_signal: tuple[float, float]
    """Groups without signal among those sampled: before GRPO, and once the policy has settled."""
    settling: float
    """Steps of GRPO until 63 % of the way from the first to the second of such values is gone."""
    shown: tuple[float, float]
    """Share of the demonstrations that a STOP policy may show which it shows when it is sampled: before GRPO, and once
    it has settled."""
    shown_greedy: float
    """The same of its greedy sequences before GRPO; afterwards they show as many as sampled ones."""
    unsolved: tuple[float, float]
    """Test queries that no selector has answered as well as can be with one demonstration; and those that are left
    to the oracle after its first round."""
    unsolved_longer: tuple[float, float]
    """The same with several demonstrations."""
    policies_leave: tuple[float, float]
    """What trained policies leave of the queries that selectors without training do not answer so with several
    demonstrations: before GRPO, and once they have settled. Counts where a pilot has seen what these answer."""
    unsolved_after_beam: float
    """What is left of these shares where beam search has seen the true answers before."""
    unsolved_in_similar: float
    """What is left of them where pools are drawn by similarity: most then hold a demonstration that helps."""

    def settled(self, pair: tuple[float, float], steps: float) -> float:
        """A value on its way from the first to the second of `pair`, after so many steps of GRPO."""
        first, last = pair
        return last + (first - last) * math.exp(-steps / self.settling)


# Measured on runs of small recipes with the built-in VLM (docs/scale.md): about their mean, and their extremes.
EXPECTED = Behaviour(
    similar_agree=0.2,
    sampled_agree=(0.13, 0.29),
    visits_agree=0.16,
    epochs_agree=0.55,
    epochs_agree_recorded=0.9,
    policies_agree=0.3,
    no_signal=(0.53, 0.77),
    settling=25.0,
    shown=(0.72, 0.98),
    shown_greedy=0.25,
    unsolved=(0.43, 0.33),
    unsolved_longer=(0.3, 0.18),
    policies_leave=(0.92, 0.5),
    unsolved_after_beam=0.2,
    unsolved_in_similar=0.35,
)
LOW = Behaviour(
    similar_agree=0.85,
    sampled_agree=(0.23, 0.39),
    visits_agree=0.23,
    epochs_agree=0.95,
    epochs_agree_recorded=0.98,
    policies_agree=0.95,
    no_signal=(0.37, 0.54),
    settling=25.0,
    shown=(0.4, 0.6),
    shown_greedy=0.1,
    unsolved=(0.3, 0.24),
    unsolved_longer=(0.16, 0.07),
    policies_leave=(0.8, 0.4),
    unsolved_after_beam=0.0,
    unsolved_in_similar=0.04,
)
HIGH = Behaviour(
    similar_agree=0.15,
    sampled_agree=(0.07, 0.21),
    visits_agree=0.08,
    epochs_agree=0.4,
    epochs_agree_recorded=0.7,
    policies_agree=0.2,
    no_signal=(0.61, 0.82),
    settling=25.0,
    shown=(0.8, 1.0),
    shown_greedy=0.6,
    unsolved=(0.5, 0.42),
    unsolved_longer=(0.42, 0.3),
    policies_leave=(1.0, 0.9),
    unsolved_after_beam=1.0,
    unsolved_in_similar=0.6,
)
Behaviours = tuple[Behaviour, Behaviour, Behaviour]
USUAL: Behaviours = (LOW, EXPECTED, HIGH)
"""Those that make a plan low, expected and high."""
