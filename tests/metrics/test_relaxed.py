from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.errors import DataError
from shotsmith.metrics.numbers import relaxed_accuracy


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


def test_no_answers_are_an_error():
    with pytest.raises(DataError):
        relaxed_accuracy("1", [])


@given(st.text())
def test_a_text_agrees_with_itself(text: str):
    assert relaxed_accuracy(text, [text]) == 1


@given(st.floats(1, 1e6), st.floats(0, 0.049))
def test_every_number_within_the_tolerance_is_right_on_both_sides(truth: float, share: float):
    for sign in (-1, 1):
        assert relaxed_accuracy(repr(truth * (1 + sign * share)), [repr(truth)]) == 1
        assert relaxed_accuracy(repr(truth * (1 + sign * (share + 0.052))), [repr(truth)]) == 0
