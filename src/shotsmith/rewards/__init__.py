"""Rewards: pure functions of an answered query, combined as the recipe says.

A failed completion has no reward at all: it never becomes an `Answered`, and whoever asked for it gives None.
"""

from shotsmith.recipe.rewards import MODES
from shotsmith.rewards.answered import Answered
from shotsmith.rewards.functions import REWARDS
from shotsmith.rewards.total import (
    highest_reward,
    needed_figures,
    needs_captions,
    needs_zero_shot,
    reward,
    reward_of_figures,
    wanted_answers,
)

__all__ = [
    "MODES",
    "REWARDS",
    "Answered",
    "highest_reward",
    "needed_figures",
    "needs_captions",
    "needs_zero_shot",
    "reward",
    "reward_of_figures",
    "wanted_answers",
]
