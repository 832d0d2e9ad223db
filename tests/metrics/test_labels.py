from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.errors import DataError
from shotsmith.metrics.labels import exact_match, macro_f1, several_classes

CLASSES = st.sampled_from(["cat", "dog", "owl"])
PAIRS = st.lists(st.tuples(CLASSES, CLASSES), min_size=1, max_size=12)


def of(predictions: list[str], truths: list[str]) -> float:
    (value,) = macro_f1(predictions, truths, np.ones((1, len(truths))))
    return float(value)


def test_a_label_matches_once_both_sides_are_normalised_and_no_other_way():
    assert exact_match("Positive.", ["positive"]) == 1
    assert exact_match(" a positive", ["negative", "positive"]) == 1
    assert exact_match("posit", ["positive"]) == 0 and exact_match("not positive", ["positive"]) == 0
    with pytest.raises(DataError):
        exact_match("positive", [])


def test_the_mean_of_the_classes_f1_by_hand():
    # cat: TP 2, FP 1, FN 1: 2/3. dog: TP 1, FP 1, FN 1: 1/2. A prediction that is no class is a miss of dog alone.
    truths = ["cat", "cat", "cat", "dog", "dog"]
    assert of(["cat", "Cat.", "dog", "cat", "dog"], truths) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert of(["cat", "cat", "dog", "cow", "dog"], truths) == pytest.approx((4 / 5 + 1 / 2) / 2)
    assert of(["cat"] * 5, truths) == pytest.approx((6 / 8 + 0) / 2)


def test_a_weight_counts_a_query_so_many_times_and_a_class_without_queries_not_at_all():
    given_, truths = ["cat", "dog", "cat"], ["cat", "dog", "dog"]
    values = macro_f1(given_, truths, np.array([[1.0, 0, 2], [2, 0, 0]]))
    assert values.tolist() == pytest.approx([of(["cat", "cat", "cat"], ["cat", "dog", "dog"]), 1])
    with pytest.raises(DataError):
        macro_f1(given_, truths, np.zeros((1, 3)))


def test_an_example_of_several_classes_is_told():
    assert several_classes(["Dog", "a dog"]) is None and "2" in str(several_classes(["dog", "cat"]))


@given(PAIRS)
def test_it_is_bounded_and_1_for_the_truth_alone(pairs: list[tuple[str, str]]):
    given_, truths = [one for one, _ in pairs], [two for _, two in pairs]
    assert 0 <= of(given_, truths) <= 1 and of(truths, truths) == 1
    assert (of(given_, truths) == 1) == (given_ == truths)


@given(PAIRS)
def test_it_is_symmetric_where_both_sides_have_the_same_classes(pairs: list[tuple[str, str]]):
    given_, truths = [one for one, _ in pairs], [two for _, two in pairs]
    if set(given_) == set(truths):
        assert of(given_, truths) == pytest.approx(of(truths, given_))
