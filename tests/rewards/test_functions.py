from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.metrics.vqa import vqa_accuracy
from shotsmith.records import Completion, Example
from shotsmith.rewards import REWARDS, Answered

LOG_PROBS = st.floats(-50, 0)
ANSWERS = st.lists(st.sampled_from(["jar", "glass jar", "vase"]), min_size=1, max_size=10).map(tuple)
BOUNDED = ["vqa_accuracy", "correct", "answer_probability", "gt_prob", "answer_f1", "answer_rouge_l", "relevance"]


def saying(answered: Answered, text: str) -> Answered:
    return replace(answered, completion=Completion(text, answered.completion.log_probs))


def answering(answers: tuple[str, ...], text: str, *log_probs: float) -> Answered:
    query = Example(1, (), 1, "?", answers)  # type: ignore[arg-type]
    return Answered(query, Completion(text, dict(zip(["jar", "glass jar", "vase"], log_probs, strict=False))))


def test_accuracy_is_the_official_one(answered: Answered):
    for text in ("jar", "glass bowl", "vase", "pot"):
        value = REWARDS["vqa_accuracy"].of(saying(answered, text))
        assert value == vqa_accuracy(text, answered.query.answers)


@pytest.mark.parametrize(("text", "value"), [("jar", 1), ("vase", 1), ("The vase!", 1), ("pot", 0), ("", 0)])
def test_an_answer_is_correct_if_it_earns_any_accuracy(answered: Answered, text: str, value: int):
    assert REWARDS["correct"].of(saying(answered, text)) == value


def test_probability_is_that_of_the_most_common_answer(answered: Answered):
    assert REWARDS["answer_probability"].of(answered) == pytest.approx(0.25)


def test_gain_is_in_nats_over_no_demonstrations(answered: Answered):
    assert REWARDS["log_prob_gain"].of(answered) == pytest.approx(math.log(5))
    assert REWARDS["log_prob_gain"].of(replace(answered, zero_shot=math.log(0.25))) == 0
    assert REWARDS["log_prob_gain"].of(replace(answered, zero_shot=math.log(0.5))) == pytest.approx(-math.log(2))


def test_gt_prob_counts_an_answer_fully_from_three_annotators_on(answered: Answered):
    assert REWARDS["gt_prob"].of(answered) == pytest.approx(0.25 + 0.5 + 2 / 3 * 0.03)


def test_gt_prob_is_at_most_1():
    overlapping = answering(("jar",) * 5 + ("vase",) * 5, "jar", -0.1, -1.0, -0.1)
    assert REWARDS["gt_prob"].of(overlapping) == 1


@pytest.mark.parametrize(("text", "value"), [("bowl", 2 / 3), ("the glass bowls", 1 / 2), ("jar", 1), ("pot", 0)])
def test_f1_is_that_with_the_nearest_true_answer(answered: Answered, text: str, value: float):
    assert REWARDS["answer_f1"].of(saying(answered, text)) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("jars", 3 / 4), ("bowl glass", 1), ("bowl", 2 / 3), ("jar", 1), ("zzz", 0)],  # edit, F1, F1, both, neither
)
def test_relevance_is_the_better_of_f1_and_edit_similarity(answered: Answered, text: str, value: float):
    assert REWARDS["relevance"].of(saying(answered, text)) == pytest.approx(value)


def test_cider_takes_the_answers_for_reference_captions(answered: Answered):
    assert answered.captions is not None
    expected = answered.captions.score("glass bowl", answered.query.answers)
    assert REWARDS["cider"].of(saying(answered, "glass bowl")) == expected > 0


@given(ANSWERS, st.sampled_from(["jar", "vase", "pot", "a jar", ""]), LOG_PROBS, LOG_PROBS, LOG_PROBS)
def test_bounded_rewards_lie_between_0_and_1(answers: tuple[str, ...], text: str, a: float, b: float, c: float):
    answered = answering(answers, text, a, b, c)
    assert all(0 <= REWARDS[name].of(answered) <= REWARDS[name].right == 1 for name in BOUNDED)


@given(ANSWERS, LOG_PROBS, LOG_PROBS, LOG_PROBS, st.floats(0, 1), st.integers(0, 2))
def test_a_likelier_true_answer_never_lowers_a_reward(
    answers: tuple[str, ...], a: float, b: float, c: float, share: float, which: int
):
    lower, higher = [a, b, c], [a, b, c]
    higher[which] *= share  # nearer to 0
    before, after = (replace(answering(answers, "jar", *values), zero_shot=-1.0) for values in (lower, higher))
    for name in ("answer_probability", "log_prob_gain", "gt_prob"):
        assert REWARDS[name].of(after) >= REWARDS[name].of(before)


@given(ANSWERS, st.sampled_from(["jar", "glass", "pot", "glass jug", "vases"]))
def test_an_answer_is_at_least_as_relevant_as_its_f1_and_wholly_so_if_true(answers: tuple[str, ...], text: str):
    assert REWARDS["relevance"].of(answering(answers, text)) >= REWARDS["answer_f1"].of(answering(answers, text))
    assert REWARDS["relevance"].of(answering(answers, answers[0])) == 1


@given(ANSWERS)
def test_a_right_and_certain_answer_earns_what_the_table_calls_right(answers: tuple[str, ...]):
    agreed = answers[:1] * 10
    answered = answering(agreed, agreed[0], 0.0, 0.0, 0.0)
    assert all(REWARDS[name].of(answered) == 1 for name in BOUNDED)
