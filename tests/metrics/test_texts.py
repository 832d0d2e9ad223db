from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.errors import DataError
from shotsmith.metrics.texts import ANLS_THRESHOLD, LONGEST, anls, edit_similarity, rouge_l, token_f1
from shotsmith.metrics.vqa import normalise

# Letters and words that normalisation leaves alone.
WORDS = st.lists(st.sampled_from(["cat", "dog", "red", "bus"]), max_size=6).map(" ".join)
TEXTS = st.text("bcd", max_size=7)
SPACED = st.text("abc d", max_size=8)
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


@pytest.mark.parametrize(
    ("prediction", "answers", "value"),
    [
        ("coca cola", ["Coca  Cola"], 1),
        ("coca cola", ["coca-cola"], 8 / 9),
        ("kitten", ["sitting"], 1 - 3 / 7),
        ("abcd", ["abxy"], 0),  # a distance of 0.5 is at the threshold
        ("abcd", ["abcx"], 3 / 4),
        ("abc", ["xyz", "abd", "abc "], 1),
        ("", ["a"], 0),
        ("", [""], 1),
        ("ab", ["abcd"], 0),
    ],
)
def test_anls_by_hand(prediction: str, answers: list[str], value: float):
    assert anls(prediction, answers) == pytest.approx(value)


def test_anls_without_answers_is_an_error():
    with pytest.raises(DataError):
        anls("a", [])


@given(SPACED, SPACED)
def test_anls_is_symmetric_bounded_and_never_between_0_and_a_half(one: str, other: str):
    value = anls(one, [other])
    assert value == anls(other, [one]) and (value == 0 or 0.5 < value <= 1)
    assert anls(one, [one]) == 1 == anls(one, [other, one])


def levenshtein(a: str, b: str) -> int:
    """The distance by the table of Wagner and Fischer (1974), a row at a time."""
    above = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        row = [i]
        for j, y in enumerate(b, start=1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y)))
        above = row
    return above[-1]


def common_subsequence(a: list[str], b: list[str]) -> int:
    """The length of the longest common subsequence, by its table, a row at a time."""
    above = [0] * (len(b) + 1)
    for x in a:
        row = [0]
        for j, y in enumerate(b, start=1):
            row.append(above[j - 1] + 1 if x == y else max(above[j], row[j - 1]))
        above = row
    return above[-1]


ANY = st.text("ab\N{LATIN SMALL LETTER E WITH ACUTE}\N{CJK UNIFIED IDEOGRAPH-72D7}\N{DOG} ", max_size=90)
MANY_WORDS = st.lists(
    st.sampled_from(["b", "c", "red", "\N{DOG}", "12", "cafe\N{COMBINING ACUTE ACCENT}"]), max_size=80
)


@given(ANY, ANY)
def test_distances_are_those_of_the_plain_table_to_the_last_bit(a: str, b: str):
    given_, true = normalise(a), normalise(b)
    longer = max(len(given_), len(true))
    assert edit_similarity(a, b) == (1 - levenshtein(given_, true) / longer if longer else 1.0)
    given_, true = (" ".join(text.lower().split()) for text in (a, b))
    share = levenshtein(given_, true) / max(len(given_), len(true), 1)
    assert anls(a, [b]) == (1 - share if share < ANLS_THRESHOLD else 0.0)


@given(MANY_WORDS, MANY_WORDS)
def test_rouge_l_is_that_of_the_plain_table_to_the_last_bit(a: list[str], b: list[str]):
    given_, true = normalise(" ".join(a)).split(), normalise(" ".join(b)).split()
    shared = common_subsequence(given_, true)
    assert rouge_l(" ".join(a), " ".join(b)) == (2 * shared / (len(given_) + len(true)) if given_ != true else 1.0)
