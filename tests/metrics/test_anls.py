from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.errors import DataError
from shotsmith.metrics.texts import anls

TEXTS = st.text("abc d", max_size=8)


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
def test_the_similarity_by_hand(prediction: str, answers: list[str], value: float):
    assert anls(prediction, answers) == pytest.approx(value)


def test_no_answers_are_an_error():
    with pytest.raises(DataError):
        anls("a", [])


@given(TEXTS, TEXTS)
def test_it_is_symmetric_bounded_and_never_between_0_and_a_half(one: str, other: str):
    value = anls(one, [other])
    assert value == anls(other, [one]) and (value == 0 or 0.5 < value <= 1)
    assert anls(one, [one]) == 1 == anls(one, [other, one])
