from __future__ import annotations

import math
from dataclasses import replace

import pytest

from shotsmith.errors import ShotsmithError
from shotsmith.metrics.metric import Metric
from shotsmith.metrics.table import METRICS
from shotsmith.records import Completion
from shotsmith.rewards import REWARDS, Answered

NO_LOG_PROBS = [math.nan, math.inf, -math.inf, 0.7]
EVERY_REWARD = pytest.mark.parametrize("name", REWARDS)


def suited(answered: Answered, name: str) -> Answered:
    """The same, with numbers for the metrics of numbers, and with options for those of options."""
    metric = METRICS.get(name, Metric(name))
    truths = ("12",) if name in ("mean_absolute_error", "closeness") else answered.query.answers
    options = ("jar", "glass bowl", "vase") if metric.by_likelihood else ()
    return replace(answered, query=replace(answered.query, answers=truths, options=options))


@EVERY_REWARD
def test_a_complete_answer_has_every_reward(answered: Answered, name: str):
    answered = suited(answered, name)
    assert math.isfinite(REWARDS[name].of(answered))


@EVERY_REWARD
def test_rewards_need_what_the_table_says_and_nothing_else(answered: Answered, name: str):
    function, answered = REWARDS[name], suited(answered, name)
    wanted = function.answers(answered.query)
    enough = replace(
        answered,
        completion=Completion("vase", {answer: answered.log_prob(answer) for answer in wanted}),
        zero_shot=answered.zero_shot if function.zero_shot else None,
        captions=answered.captions if function.captions else None,
    )
    assert function.of(enough) == function.of(answered)
    for answer in wanted:
        log_probs = {other: enough.log_prob(other) for other in wanted if other != answer}
        with pytest.raises(ShotsmithError, match=f"example 7.*log-probability of '{answer}'"):
            function.of(replace(enough, completion=Completion("vase", log_probs)))
    if function.zero_shot:
        with pytest.raises(ShotsmithError, match=r"example 7.*no demonstrations"):
            function.of(replace(enough, zero_shot=None))
    if function.captions:
        with pytest.raises(ShotsmithError, match=r"example 7.*captions"):
            function.of(replace(enough, captions=None))


@pytest.mark.parametrize("name", ["vqa_accuracy", "correct", "answer_f1", "relevance", "cider", "anls"])
def test_a_missing_text_is_an_error_and_no_zero(answered: Answered, name: str):
    speechless = replace(answered, completion=Completion(None, answered.completion.log_probs))
    with pytest.raises(ShotsmithError, match=r"example 7.*generated answer"):
        REWARDS[name].of(speechless)


@pytest.mark.parametrize("log_prob", NO_LOG_PROBS)
@pytest.mark.parametrize("name", ["answer_probability", "log_prob_gain", "gt_prob", "choice_likelihood"])
def test_what_is_no_log_probability_is_an_error_and_no_number(answered: Answered, name: str, log_prob: float):
    answered = suited(answered, name)
    spoilt = Completion("vase", {**answered.completion.log_probs, "jar": log_prob})
    with pytest.raises(ShotsmithError, match=r"example 7.*'jar', but got"):
        REWARDS[name].of(replace(answered, completion=spoilt))


@pytest.mark.parametrize("log_prob", NO_LOG_PROBS)
def test_what_is_no_log_probability_without_demonstrations_is_an_error_too(answered: Answered, log_prob: float):
    with pytest.raises(ShotsmithError, match=r"example 7.*no demonstrations, but got"):
        REWARDS["log_prob_gain"].of(replace(answered, zero_shot=log_prob))


def test_rounding_makes_no_probability_above_1(answered: Answered):
    certain = Completion("jar", {"jar": 1e-6})
    assert REWARDS["answer_probability"].of(replace(answered, completion=certain)) == 1
