from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.errors import DataError
from shotsmith.metrics.choice import LETTERS, choice_letter, choice_likelihood, chosen_letter, likeliest, not_letters


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        (" b\n", "B"),
        ("(B)", "B"),
        ("( b ) red", "B"),
        ("B. red", "B"),
        ("B) red", "B"),
        ("B: red, not (A)", "B"),
        ("B,", "B"),
        ("The answer is B.", "B"),
        ("Answer: (b)", "B"),
        ("I think it is option C because it is red", "C"),
        ("A red dog", None),
        ("a", "A"),
        ("I'm not sure", None),
        ("red", None),
        ("U.S. flag", None),
        ("the answer is a's", None),
        ("", None),
    ],
)
def test_the_letter_that_a_text_names(text: str, letter: str | None):
    assert chosen_letter(text) == letter


def test_a_named_right_letter_is_right_and_all_else_is_wrong():
    assert choice_letter("B. red", ["B"]) == 1 == choice_letter("b", ["A", " b"])
    assert choice_letter("C", ["B"]) == 0 == choice_letter("red", ["B"])


def test_the_likeliest_option_is_the_prediction_the_first_among_equals():
    assert likeliest(("A", "B", "C"), {"A": -2.0, "B": -1.0, "C": -1.0, "other": 0.0}) == "B"
    assert likeliest(("A", "B"), {"A": -2.0}) is None and likeliest((), {}) is None
    assert choice_likelihood("B", ["B"]) == 1 and choice_likelihood("b", ["B"]) == 0


def test_answers_that_are_no_letters_are_told():
    assert not_letters(["A", " c "]) is None
    for wrong in ("red", "", "3", "AB", "é"):
        assert repr(wrong) in str(not_letters(["A", wrong]))


@pytest.mark.parametrize("metric", [choice_letter, choice_likelihood])
def test_no_answers_are_an_error(metric):
    with pytest.raises(DataError):
        metric("A", [])


@given(st.sampled_from(LETTERS), st.sampled_from(LETTERS))
def test_a_letter_is_right_against_itself_and_the_measure_is_symmetric(one: str, other: str):
    assert choice_letter(one, [one]) == 1
    assert choice_letter(one, [other]) == choice_letter(other, [one]) == float(one == other)


@given(st.dictionaries(st.sampled_from(LETTERS), st.floats(-50, 0), min_size=1))
def test_no_option_is_likelier_than_the_one_that_is_chosen(log_probs: dict[str, float]):
    chosen = likeliest(tuple(log_probs), log_probs)
    assert chosen is not None and log_probs[chosen] == max(log_probs.values())
