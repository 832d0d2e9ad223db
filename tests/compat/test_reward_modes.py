from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.recipe import RewardSettings
from shotsmith.rewards import MODES, REWARDS

SETTINGS = RewardSettings(hard_weight=1.5, soft_weight=0.5, relevance_weight=0.2)
H, S, P, R, Q = "correct", "vqa_accuracy", "gt_prob", "relevance", "log_prob_gain"
RIGHT = {H: 1.0, S: 0.6, P: 0.4, R: 1.0, Q: 1.2}
WRONG = {H: 0.0, S: 0.0, P: 0.1, R: 0.5, Q: -0.8}


@pytest.mark.parametrize(
    ("mode", "right", "wrong"),
    [
        ("hard_plus_soft", 1.5 + 0.3, 0.0),
        ("hard_plus_soft_v2", 3.0 + 0.3, 0.0),
        ("separated", 3.0 + 0.3, 0.0),
        ("hard_only", 1.5, 0.0),
        ("soft_only", 0.3, 0.0),
        ("hard01_plus_gtprob", 1.5 + 0.2, 0.05),
        ("hard01_plus_gtprob_separated", 3.0 + 0.2, 0.05),
        ("hard_plus_gtprob_plus_rel", 1.5 + 0.2, 0.05 + 0.1),
        ("legacy", 1.5 + 0.6, -0.4),
    ],
)
def test_each_mode_gives_what_is_worked_by_hand(mode: str, right: float, wrong: float):
    for measured, expected in ((RIGHT, right), (WRONG, wrong)):
        values = (measured[name] for name in MODES[mode].rewards)
        assert MODES[mode].combine(SETTINGS, *values) == pytest.approx(expected)


def test_the_recipe_knows_exactly_these_modes_and_the_weighted_sum():
    assert {RewardSettings(mode=mode).mode for mode in [*MODES, "weighted_sum"]} == {*MODES, "weighted_sum"}
    with pytest.raises(ValueError, match="no mode is called 'hard'; there are weighted_sum, hard_plus_soft"):
        RewardSettings(mode="hard")


def test_the_modes_of_probabilities_are_those_that_need_log_probabilities():
    needing = {mode for mode in MODES if RewardSettings(mode=mode).needs_log_probs}
    assert needing == {mode for mode in MODES if "gtprob" in mode or mode == "legacy"}


def test_modes_are_made_of_rewards_in_the_table():
    assert {name for mode in MODES.values() for name in mode.rewards} <= REWARDS.keys()


@pytest.mark.parametrize("mode", MODES)
@given(data=st.data())
def test_every_mode_stays_within_its_clip_and_never_falls_as_a_reward_rises(mode: str, data: st.DataObject):
    weights = data.draw(st.tuples(*[st.floats(0.01, 20)] * 2))
    settings = RewardSettings(hard_weight=weights[0], soft_weight=weights[1], relevance_weight=0.01)
    names = MODES[mode].rewards
    values = [float(data.draw(st.integers(0, 1))) if name == H else data.draw(st.floats(0, 1)) for name in names]
    value = MODES[mode].combine(settings, *values)
    assert -5 <= value <= 5
    for position, name in enumerate(names):
        if name != R or not values[0]:
            risen = [1.0 if index == position else other for index, other in enumerate(values)]
            assert MODES[mode].combine(settings, *risen) >= value


@pytest.mark.parametrize(("gain", "clipped"), [(-40.0, -5.0), (40.0, 5.0), (1.0, 1.0)])
def test_a_mode_is_clipped_at_5_either_way(gain: float, clipped: float):
    assert MODES["legacy"].combine(RewardSettings(), 0.0, gain) == clipped
