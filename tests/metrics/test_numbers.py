from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.errors import DataError
from shotsmith.metrics.numbers import (
    closeness,
    first_number,
    mean_absolute_error,
    not_numbers,
    relaxed_accuracy,
    whole_number_text,
)

NUMBERS = st.floats(-1e9, 1e9).map(lambda value: round(value, 4))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        ("about 12 dogs", 12),
        ("It is $1,234.50.", 1234.5),
        ("-3.5 degrees", -3.5),
        ("\N{MINUS SIGN}7", -7),
        ("1.5e3", 1500),
        (".5", 0.5),
        ("3-4", 3),
        ("1,2345", 1),
        ("12%", 12),
        ("v2 of COVID-19", 19),
        ("2nd", 2),
        ("1e999", None),
        ("none", None),
        ("", None),
        ("...", None),
    ],
)
def test_the_first_number_of_a_text(text: str, number: float | None):
    assert first_number(text) == number


@pytest.mark.parametrize("text", ["12 dogs", "1-2", "nan", "inf", "", "two", "1e999"])
def test_what_is_no_number_as_a_whole_is_told(text: str):
    assert whole_number_text(text) is None
    assert text in str(not_numbers(["3", text]))


@pytest.mark.parametrize("text", ["12", " 12.50 ", "$1,200", "€ 3", "40 %", "-2"])
def test_a_sign_of_currency_or_percent_leaves_a_number_a_number(text: str):
    assert not_numbers([text]) is None and whole_number_text(text) == first_number(text)


def test_the_error_and_its_bounded_form_by_hand():
    assert mean_absolute_error("maybe 7", ["10"]) == 3 and closeness("maybe 7", ["10"]) == pytest.approx(1 / 1.3)
    assert mean_absolute_error("20", ["10", "18"]) == 2 and closeness("20", ["10", "18"]) == pytest.approx(9 / 10)
    assert mean_absolute_error("0", ["10"]) == 10 and closeness("0", ["10"]) == 0.5
    assert closeness("0.5", ["0"]) == pytest.approx(2 / 3)  # below 1 the error counts itself


def test_a_prediction_without_a_number_has_no_error_and_earns_nothing():
    assert mean_absolute_error("I do not know", ["10"]) is None and closeness("I do not know", ["10"]) == 0


@pytest.mark.parametrize("metric", [mean_absolute_error, closeness])
def test_answers_that_are_no_numbers_are_an_error(metric):
    with pytest.raises(DataError, match="'a dozen'"):
        metric("12", ["12", "a dozen"])
    with pytest.raises(DataError):
        metric("12", [])


@given(NUMBERS, NUMBERS)
def test_the_error_is_that_of_the_numbers_and_symmetric(a: float, b: float):
    error = mean_absolute_error(f"{a:.4f}", [f"{b:.4f}"])
    assert error == pytest.approx(abs(a - b)) == mean_absolute_error(f"{b:.4f}", [f"{a:.4f}"])
    assert 0 < closeness(f"{a:.4f}", [f"{b:.4f}"]) <= 1
    assert mean_absolute_error(f"{a:.4f}", [f"{a:.4f}"]) == 0 and closeness(f"{a:.4f}", [f"{a:.4f}"]) == 1


@given(NUMBERS, NUMBERS, NUMBERS)
def test_the_nearer_number_earns_more(truth: float, one: float, other: float):
    errors = [mean_absolute_error(f"{value:.4f}", [f"{truth:.4f}"]) for value in (one, other)]
    scores = [closeness(f"{value:.4f}", [f"{truth:.4f}"]) for value in (one, other)]
    if errors[0] < errors[1]:
        assert scores[0] >= scores[1]


@pytest.mark.parametrize(
    ("prediction", "answers", "value"),
    [
        ("105", ["100"], 1),
        ("106", ["100"], 0),
        ("95", ["100"], 1),
        ("94.9", ["100"], 0),
        ("-95", ["-100"], 1),
        ("12%", ["0.12"], 1),
        ("12%", ["12"], 0),
        ("12.3%", ["12%"], 1),
        ("blue", ["Blue "], 1),
        ("blues", ["blue"], 0),
        ("2001", ["2010"], 1),
        ("0.0", ["0"], 0),
        ("0", ["0"], 1),
        ("100 dogs", ["100"], 0),
        ("7", ["3", "7.1"], 1),
        ("nan", ["100"], 0),
    ],
)
def test_numbers_may_be_off_by_5_percent_and_texts_may_not(prediction: str, answers: list[str], value: int):
    assert relaxed_accuracy(prediction, answers) == value


def test_relaxed_accuracy_without_answers_is_an_error():
    with pytest.raises(DataError):
        relaxed_accuracy("1", [])


@given(st.text())
def test_a_text_agrees_with_itself_in_relaxed_accuracy(text: str):
    assert relaxed_accuracy(text, [text]) == 1


@given(st.floats(1, 1e6), st.floats(0, 0.049))
def test_every_number_within_the_tolerance_is_right_on_both_sides(truth: float, share: float):
    for sign in (-1, 1):
        assert relaxed_accuracy(repr(truth * (1 + sign * share)), [repr(truth)]) == 1
        assert relaxed_accuracy(repr(truth * (1 + sign * (share + 0.052))), [repr(truth)]) == 0
