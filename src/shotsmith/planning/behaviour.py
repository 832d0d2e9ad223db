"""What decides how many prompts are new: how policy, VLM and data behave, in named numbers.

They make a plan's calls an estimate. The most that can be asked for does not depend on them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Shares and chances that no recipe says. The defaults were measured on a few small runs (docs/scale.md).

    Chances that two sequences agree are those of one demonstration; two sequences of n agree with the n-th power.
    """

    similar_agree: float = 0.2
    """Two of the selectors by similarity choose the same demonstration."""
    sampled_agree: tuple[float, float] = (0.13, 0.29)
    """Two sequences sampled in one group begin alike: before GRPO, and once the policy has settled."""
    visits_agree: float = 0.16
    """A sequence sampled at one visit to a query agrees with one of another visit, epoch or seed."""
    epochs_agree: float = 0.55
    """The greedy sequences of a validation query agree in two epochs."""
    epochs_agree_recorded: float = 0.9
    """The same in a phase that learns from recorded rollouts: RCE, and GRPO where its groups are recorded."""
    policies_agree: float = 0.3
    """Two trained policies choose the same demonstration for a test query."""
    no_signal: tuple[float, float] = (0.53, 0.77)
    """Groups without signal among those sampled: before GRPO, and once the policy has settled."""
    settling: float = 25.0
    """Steps of GRPO until 63 % of the way from the first to the second of such values is gone."""
    shown: tuple[float, float] = (0.72, 0.98)
    """Share of the demonstrations that a STOP policy may show which it shows when it is sampled: before GRPO, and once
    it has settled."""
    shown_greedy: float = 0.25
    """The same of its greedy sequences before GRPO; afterwards they show as many as sampled ones."""
    unsolved: tuple[float, float] = (0.43, 0.33)
    """Test queries that no selector has answered as well as can be with one demonstration; and those that are left
    to the oracle after its first round."""
    unsolved_longer: tuple[float, float] = (0.3, 0.18)
    """The same with several demonstrations."""
    policies_leave: tuple[float, float] = (0.92, 0.5)
    """What trained policies leave of the queries that selectors without training do not answer so with several
    demonstrations: before GRPO, and once they have settled. Counts where a pilot has seen what these answer."""
    unsolved_after_beam: float = 0.2
    """What is left of these shares where beam search has seen the true answers before."""
    unsolved_in_similar: float = 0.35
    """What is left of them where pools are drawn by similarity: most then hold a demonstration that helps."""

    def settled(self, pair: tuple[float, float], steps: float) -> float:
        """A value on its way from the first to the second of `pair`, after so many steps of GRPO."""
        first, last = pair
        return last + (first - last) * math.exp(-steps / self.settling)


USUAL = Behaviour()
