from __future__ import annotations

import math
from pathlib import Path

import pytest

from shotsmith.errors import ShotsmithError
from shotsmith.recipe import RewardSettings
from shotsmith.records import Completion, Example
from shotsmith.rewards import REWARDS, highest_reward, reward

QUERY = Example(7, Path("x.png"), 1, "what is it?", ("jar",) * 6 + ("bowl",) * 4)
COMPLETION = Completion("bowl", {"jar": math.log(0.25), "bowl": math.log(0.5)})


def test_accuracy_is_the_official_one():
    assert REWARDS["vqa_accuracy"](COMPLETION, QUERY) == 1.0
    assert REWARDS["vqa_accuracy"](Completion("vase"), QUERY) == 0.0


def test_probability_is_that_of_the_most_common_answer():
    assert REWARDS["answer_probability"](COMPLETION, QUERY) == pytest.approx(0.25)


def test_every_weight_of_the_recipe_names_a_reward_and_the_other_way_round():
    assert set(REWARDS) == set(RewardSettings.model_fields)


def test_reward_is_the_weighted_sum():
    settings = RewardSettings(vqa_accuracy=2.0, answer_probability=0.5)
    assert reward(COMPLETION, QUERY, settings) == pytest.approx(2.0 + 0.125)
    assert highest_reward(settings) == 2.5


def test_a_missing_log_probability_is_an_error_and_no_zero():
    with pytest.raises(ShotsmithError, match=r"example 7.*'jar'"):
        reward(Completion("jar"), QUERY, RewardSettings())


def test_a_missing_text_is_an_error_and_no_zero():
    with pytest.raises(ShotsmithError, match=r"example 7.*generated answer"):
        reward(Completion(None, {"jar": -1.0}), QUERY, RewardSettings())


def test_what_has_no_weight_need_not_have_been_asked_for():
    assert reward(Completion("jar"), QUERY, RewardSettings(answer_probability=0)) == 1.0
    text_free = RewardSettings(vqa_accuracy=0)
    assert reward(Completion(None, {"jar": math.log(0.5)}), QUERY, text_free) == pytest.approx(0.5)
