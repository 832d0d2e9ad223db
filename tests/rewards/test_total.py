from __future__ import annotations

import math
from dataclasses import replace

import pytest

from shotsmith.errors import ShotsmithError
from shotsmith.metrics.table import METRICS
from shotsmith.recipe import RewardSettings
from shotsmith.records import Completion, Example
from shotsmith.rewards import (
    MODES,
    REWARDS,
    Answered,
    highest_reward,
    needed_figures,
    needs_captions,
    needs_zero_shot,
    reward,
    wanted_answers,
)

NO_WEIGHTS = dict.fromkeys(
    ["vqa_accuracy", "answer_probability", "log_prob_gain", "answer_f1", "answer_rouge_l", "cider"], 0.0
)
NO_REWARDS = {"mode", "metrics", "demonstration_cost", "hard_weight", "soft_weight", "relevance_weight"}
EVERY_MODE = pytest.mark.parametrize("mode", ["weighted_sum", *MODES])


def only(**weights: float) -> RewardSettings:
    return RewardSettings(**{**NO_WEIGHTS, **weights})


def test_every_weight_of_the_recipe_names_a_reward():
    assert RewardSettings.model_fields.keys() - NO_REWARDS == NO_WEIGHTS.keys() <= REWARDS.keys()


def test_every_metric_can_be_a_weight_by_its_name_alone(answered: Answered):
    for name in METRICS.keys() - NO_WEIGHTS.keys():
        settings = only(**{name: 0.5})
        assert settings.metrics == {name: 0.5} and needed_figures(settings) == (name,)
        assert settings == only(metrics={name: 0.5}) == RewardSettings.model_validate(settings.model_dump())
        assert highest_reward(settings) == 0.5
    assert reward(answered, only(anls=0.5)) == 0.5 * REWARDS["anls"].of(answered)


@pytest.mark.parametrize("name", NO_WEIGHTS)
def test_a_weight_alone_gives_that_reward_times_the_weight(answered: Answered, name: str):
    assert reward(answered, only(**{name: 0.5})) == pytest.approx(0.5 * REWARDS[name].of(answered))


def test_the_weighted_sum_adds_all_of_them(answered: Answered):
    weights = {name: 0.5 + number for number, name in enumerate(NO_WEIGHTS)}
    expected = sum(weight * REWARDS[name].of(answered) for name, weight in weights.items())
    assert reward(answered, only(**weights)) == pytest.approx(expected)


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_combines_its_rewards_with_its_weights(answered: Answered, mode: str):
    settings = RewardSettings(mode=mode, hard_weight=0.7, soft_weight=0.4, relevance_weight=0.3)  # type: ignore[arg-type]
    for text in ("jar", "bowl", "pot"):
        spoken = replace(answered, completion=Completion(text, answered.completion.log_probs))
        values = [REWARDS[name].of(spoken) for name in MODES[mode].rewards]
        assert reward(spoken, settings) == pytest.approx(MODES[mode].combine(settings, *values))


@EVERY_MODE
def test_of_two_equally_good_sequences_the_shorter_wins(answered: Answered, mode: str):
    settings = RewardSettings(mode=mode, demonstration_cost=0.01)  # type: ignore[arg-type]
    rewards = [reward(replace(answered, demonstrations=shown), settings) for shown in range(5)]
    assert rewards == sorted(set(rewards), reverse=True)
    assert rewards[0] - rewards[4] == pytest.approx(0.04)


def test_the_shorter_wins_though_both_are_clipped(answered: Answered):
    settings = RewardSettings(mode="hard_only", hard_weight=9.0, demonstration_cost=0.1)
    assert reward(replace(answered, demonstrations=1), settings) == pytest.approx(4.9)


@EVERY_MODE
def test_without_a_cost_the_number_of_demonstrations_changes_nothing(answered: Answered, mode: str):
    settings = RewardSettings(mode=mode)  # type: ignore[arg-type]
    assert reward(replace(answered, demonstrations=0), settings) == reward(answered, settings)


@pytest.mark.parametrize(
    ("settings", "wanted", "zero_shot", "captions"),
    [
        (only(vqa_accuracy=1, answer_f1=1), (), False, False),
        (RewardSettings(), ("jar",), False, False),
        (only(log_prob_gain=1), ("jar",), True, False),
        (only(log_prob_gain=1, answer_probability=1), ("jar",), True, False),
        (only(cider=1), (), False, True),
        (RewardSettings(mode="hard_plus_soft"), (), False, False),
        (RewardSettings(mode="hard_plus_soft", log_prob_gain=1, cider=1), (), False, False),
        (RewardSettings(mode="hard01_plus_gtprob"), ("jar", "glass bowl", "vase"), False, False),
        (RewardSettings(mode="hard_plus_gtprob_plus_rel"), ("jar", "glass bowl", "vase"), False, False),
        (RewardSettings(mode="legacy"), ("jar",), True, False),
    ],
)
def test_only_what_the_settings_use_is_asked_for(
    query: Example, settings: RewardSettings, wanted: tuple[str, ...], zero_shot: bool, captions: bool
):
    assert wanted_answers(query, settings) == wanted
    assert (needs_zero_shot(settings), needs_captions(settings)) == (zero_shot, captions)


@pytest.mark.parametrize(
    "settings",
    [*(only(**{name: 1.0}) for name in NO_WEIGHTS), *(RewardSettings(mode=mode) for mode in MODES)],  # type: ignore[arg-type]
    ids=[*NO_WEIGHTS, *MODES],
)
def test_what_is_asked_for_is_enough(answered: Answered, settings: RewardSettings):
    log_probs = {answer: answered.log_prob(answer) for answer in wanted_answers(answered.query, settings)}
    enough = replace(
        answered,
        completion=Completion("vase", log_probs),
        zero_shot=answered.zero_shot if needs_zero_shot(settings) else None,
        captions=answered.captions if needs_captions(settings) else None,
    )
    assert reward(enough, settings) == reward(answered, settings)


def test_what_has_no_weight_need_not_have_been_asked_for(query: Example):
    assert reward(Answered(query, Completion("jar")), only(vqa_accuracy=1)) == 1
    text_free = Answered(query, Completion(None, {"jar": math.log(0.5)}))
    assert reward(text_free, only(answer_probability=1)) == pytest.approx(0.5)


def test_what_is_missing_is_an_error_and_no_zero(query: Example):
    with pytest.raises(ShotsmithError, match=r"example 7.*'jar'"):
        reward(Answered(query, Completion("jar")), RewardSettings())
    with pytest.raises(ShotsmithError, match=r"example 7.*generated answer"):
        reward(Answered(query, Completion(None, {"jar": -1.0})), RewardSettings())


@pytest.mark.parametrize(
    ("settings", "highest"),
    [
        (RewardSettings(vqa_accuracy=2.0, answer_probability=0.5), 3.5),
        (only(answer_f1=3.0), 3.0),
        (only(vqa_accuracy=1.0, log_prob_gain=2.0), 1 + 2 * math.log(10)),
        (only(cider=0.5), 1.0),
        (RewardSettings(demonstration_cost=0.2), 3.0),
        (RewardSettings(mode="hard_plus_soft"), 2.0),
        (RewardSettings(mode="hard_plus_soft_v2"), 3.0),
        (RewardSettings(mode="separated"), 3.0),
        (RewardSettings(mode="hard_only", hard_weight=0.3), 0.3),
        (RewardSettings(mode="soft_only", soft_weight=0.4), 0.4),
        (RewardSettings(mode="hard01_plus_gtprob"), 2.0),
        (RewardSettings(mode="hard01_plus_gtprob_separated"), 3.0),
        (RewardSettings(mode="hard_plus_gtprob_plus_rel"), 2.0),
        (RewardSettings(mode="legacy"), 1 + math.log(10)),
        (RewardSettings(mode="hard_only", hard_weight=9.0), 5.0),
    ],
)
def test_the_highest_reward_is_that_of_a_right_and_certain_answer(settings: RewardSettings, highest: float):
    assert highest_reward(settings) == pytest.approx(highest)


@EVERY_MODE
def test_a_right_and_certain_answer_earns_the_highest_reward(query: Example, mode: str):
    agreed = replace(query, answers=("jar",) * 10)
    certain = Answered(agreed, Completion("jar", {"jar": 0.0}), zero_shot=math.log(0.1))
    settings = RewardSettings(mode=mode)  # type: ignore[arg-type]
    assert reward(certain, settings) == pytest.approx(highest_reward(settings))


@EVERY_MODE
@pytest.mark.parametrize("name", NO_WEIGHTS)
def test_the_recipe_knows_which_rewards_need_log_probabilities(answered: Answered, mode: str, name: str):
    settings = RewardSettings(**{**NO_WEIGHTS, name: 1.0, "mode": mode})
    assert settings.needs_log_probs == bool(wanted_answers(answered.query, settings))
