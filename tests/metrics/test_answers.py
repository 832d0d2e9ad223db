from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.metrics.texts import LONGEST, edit_similarity, rouge_l, token_f1

# Letters and words that normalisation leaves alone.
WORDS = st.lists(st.sampled_from(["cat", "dog", "red", "bus"]), max_size=6).map(" ".join)
TEXTS = st.text("bcd", max_size=7)
MEASURES = pytest.mark.parametrize("measure", [token_f1, edit_similarity])


@pytest.mark.parametrize(
    ("answer", "truth", "f1"),
    [
        ("red bus", "red bus", 1.0),
        ("red", "red bus", 2 / 3),
        ("red red", "red bus", 1 / 2),  # a repeated word is found once
        ("bus red", "red bus", 1.0),
        ("the Red bus!", "a red, bus", 1.0),
        ("two dogs", "2 cats", 1 / 2),
        ("cat", "dog", 0.0),
        ("", "dog", 0.0),
        ("the", "", 1.0),
    ],
)
def test_token_f1_of_worked_cases(answer: str, truth: str, f1: float):
    assert token_f1(answer, truth) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("answer", "truth", "similarity"),
    [
        ("kitten", "sitting", 1 - 3 / 7),
        ("dog", "dogs", 3 / 4),
        ("The Dog.", "dog", 1.0),
        ("cat", "dog", 0.0),
        ("", "dog", 0.0),
        ("", "", 1.0),
    ],
)
def test_edit_similarity_of_worked_cases(answer: str, truth: str, similarity: float):
    assert edit_similarity(answer, truth) == pytest.approx(similarity)


@cache
def distance(a: str, b: str) -> int:
    """Levenshtein distance from its definition."""
    if not a or not b:
        return len(a) + len(b)
    replaced = distance(a[1:], b[1:]) + (a[0] != b[0])
    return min(replaced, distance(a[1:], b) + 1, distance(a, b[1:]) + 1)


@given(TEXTS, TEXTS)
def test_edit_similarity_follows_levenshtein(a: str, b: str):
    longer = max(len(a), len(b), 1)
    assert edit_similarity(a, b) == pytest.approx(1 - distance(a, b) / longer)


@MEASURES
@given(st.text(max_size=12), st.text(max_size=12))
def test_measures_are_symmetric_and_within_0_and_1(measure, a: str, b: str):
    assert 0 <= measure(a, b) <= 1
    assert measure(a, b) == measure(b, a)


@MEASURES
@given(st.text(max_size=20))
def test_an_answer_is_like_itself(measure, text: str):
    assert measure(text, text) == 1


@given(WORDS, WORDS)
def test_f1_is_1_only_for_the_same_words(a: str, b: str):
    assert (token_f1(a, b) == 1) == (sorted(a.split()) == sorted(b.split()))


@given(TEXTS, TEXTS)
def test_edit_similarity_is_1_only_for_the_same_text(a: str, b: str):
    assert (edit_similarity(a, b) == 1) == (a == b)


@given(WORDS, st.sampled_from(["cat", "dog"]))
def test_a_wrong_word_in_place_of_a_right_one_lowers_f1(truth: str, right: str):
    truth = f"{truth} {right}".strip()
    assert token_f1(f"{truth[: -len(right)]} wrong", truth) < token_f1(truth, truth)


def test_only_the_beginning_of_an_endless_answer_is_compared():
    assert edit_similarity("b" * LONGEST + "c" * 100_000, "b" * LONGEST) == 1
    assert edit_similarity("b" * (LONGEST - 1) + "c" * 100_000, "b" * LONGEST) == 1 - 1 / LONGEST


@pytest.mark.parametrize(
    ("answer", "truth", "value"),
    [
        ("bela amos", "bela amos", 1.0),
        ("amos bela", "bela amos", 0.5),
        ("bela", "bela amos", 2 / 3),
        ("dara", "bela amos", 0.0),
        ("The dogs!", "dogs", 1.0),
        ("", "", 1.0),
        ("", "bela", 0.0),
    ],
)
def test_rouge_l_counts_words_in_the_order_of_the_truth_only(answer, truth, value):
    assert rouge_l(answer, truth) == pytest.approx(value)
    assert rouge_l(answer, truth) <= token_f1(answer, truth) + 1e-12
