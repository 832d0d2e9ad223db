from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.errors import DataError
from shotsmith.metrics.numbers import closeness, first_number, mean_absolute_error, not_numbers, whole_number_text

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
