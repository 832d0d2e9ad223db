from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.errors import DataError
from shotsmith.metrics.vqa import (
    CONTRACTIONS,
    best_accuracy,
    normalise,
    vqa_accuracy,
    vqa_accuracy_normalised,
    vqa_accuracy_stemmed,
)


def annotators(**counts: int) -> list[str]:
    return [answer for answer, count in counts.items() for _ in range(count)]


@pytest.mark.parametrize(
    ("matching", "accuracy"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (9, 1.0), (10, 1.0)]
)
def test_accuracy_by_the_number_of_ten_annotators_who_agree(matching: int, accuracy: float):
    # With m matches: the m annotators left out one at a time see m - 1, the others see m.
    answers = ["red"] * matching + [f"other{number}" for number in range(10 - matching)]
    assert vqa_accuracy("red", answers) == pytest.approx(accuracy, abs=1e-12)


def test_equal_answers_count_one_by_one_though_they_carry_no_id():
    assert vqa_accuracy("red", ["red"] * 5 + ["blue"] * 5) == 1.0


def test_where_all_annotators_agree_the_text_must_be_the_same():
    assert vqa_accuracy("red", ["red"] * 10) == 1.0
    for nearly in ("Red", "red.", "the red", "red!"):
        assert vqa_accuracy(nearly, ["red"] * 10) == 0.0
        assert vqa_accuracy_normalised(nearly, ["red"] * 10) == 1.0


def test_where_they_disagree_both_sides_are_normalised():
    answers = ["The Red"] * 5 + ["two"] * 5
    assert vqa_accuracy("red", answers) == 1.0
    assert vqa_accuracy("2.", answers) == 1.0


def test_annotators_who_differ_only_in_case_disagree():
    assert vqa_accuracy("RED", ["red"] * 9 + ["Red"]) == 1.0


def test_annotators_who_differ_only_in_white_space_at_the_ends_agree():
    assert vqa_accuracy("RED", ["red"] * 9 + ["red\n"]) == 0.0
    assert vqa_accuracy("\tred ", ["red"] * 9 + ["red\n"]) == 1.0


WORDS_THAT_STEM = st.sampled_from(["run", "runs", "running", "ran", "runner"])

HARD_CASES = {
    # articles, number words, case
    "The Dog": "dog",
    "a an the": "",
    "an": "",
    "Two": "2",
    "ten": "10",
    "eleven": "eleven",
    "none": "0",
    "zero": "0",
    "no one": "no 1",
    # white space
    "  hot\tdog\n": "hot dog",
    "hot   dog": "hot dog",
    # a mark that touches a space goes, one inside a word becomes a space
    "yes, sir": "yes sir",
    "red,blue": "red blue",
    "t-shirt": "t shirt",
    "black -white": "black white",
    # one mark that touches a space takes all of its kind with it, but not the other kinds
    "t-shirt - x": "tshirt x",
    "a/b , c-d": "b c d",
    # a thousands comma makes every mark go
    "1,000": "1000",
    "1,000-2,000": "10002000",
    "t-shirt 1,5": "tshirt 15",
    "1, 000": "1 000",
    # at the ends of the text there is no space to touch
    "what?": "what",
    "(red)": "red",
    "3:30": "3:30",
    "50%": "50%",
    "$5": "$5",
    # a period goes unless a digit follows; whether a digit comes before it does not matter
    "u.s.a.": "usa",
    "3.5": "3.5",
    ".5": ".5",
    "5.": "5",
    "no.5": "no.5",
    "v1.a": "v1a",
    # only the first 32 periods go
    "." * 40: "." * 8,
    # contractions get their apostrophe, with the list's own oddities
    "dont know": "don't know",
    "Youre": "you're",
    "somebody'd": "somebodyd",
    "ows'at": "ows'at",
    "'ows'at": "'ow's'at",
    "twas": "'twas",
    "lets": "lets",
    "wed": "wed",
    "im": "im",
    "id": "id",
    # apostrophes are no mark
    "dog's": "dog's",
    # steps come in this order: punctuation, case, number words, articles, contractions
    "ONE.": "1",
    "the.": "",
    "don.t": "don't",
}


@pytest.mark.parametrize(("text", "normal"), HARD_CASES.items(), ids=[repr(text) for text in HARD_CASES])
def test_hard_cases_of_the_official_normalisation(text: str, normal: str):
    assert normalise(text) == normal


UNANIMOUS, NEARLY = ["dogs"] * 10, ["dogs"] * 9 + ["cat"]

HARD_ACCURACIES = [
    # prediction, answers, official, always normalised, stemmed
    ("dogs", UNANIMOUS, 1, 1, 1),
    ("Dogs.", UNANIMOUS, 0, 1, 1),
    ("the dogs", UNANIMOUS, 0, 1, 1),
    ("dog", UNANIMOUS, 0, 0, 1),
    ("Dogs.", NEARLY, 1, 1, 1),
    ("dog", NEARLY, 0, 0, 1),
    ("cat", NEARLY, 0.3, 0.3, 0.3),
    ("cats", NEARLY, 0, 0, 0.3),
    # numbers: a word is its digit, and never a stem
    ("two", ["2"] * 10, 0, 1, 1),
    ("two", ["2"] * 9 + ["3"], 1, 1, 1),
    ("one", ["1"] * 5 + ["on"] * 5, 1, 1, 1),
    ("on", ["1"] * 10, 0, 0, 0),
    ("1,000", ["1000"] * 6 + ["many"] * 4, 1, 1, 1),
    ("3.5", ["35"] * 6 + ["many"] * 4, 0, 0, 0),
    ("10:30", ["1030"] * 6 + ["many"] * 4, 0, 0, 0),
    # contractions
    ("dont know", ["don't know"] * 9 + ["no"], 1, 1, 1),
    ("dont know", ["don't know"] * 10, 0, 1, 1),
    # split answers: three of ten are 0.9, and stems may join what spelling parts
    ("surfing", ["surfing"] * 3 + ["surf"] * 3 + ["swim"] * 4, 0.9, 0.9, 1),
    ("surfs", ["surfing"] * 3 + ["surf"] * 3 + ["swim"] * 4, 0, 0, 1),
    ("swimming", ["surfing"] * 8 + ["swim"] * 2, 0, 0, 0.6),
    ("pony tails", ["pony tail"] * 5 + ["ponytail"] * 5, 0, 0, 1),
    ("ponies tail", ["pony tail"] * 5 + ["ponytail"] * 5, 0, 0, 1),
    # fewer than ten annotators: one left out of five, of two, of one
    ("red", ["red"] * 3 + ["blue"] * 2, (2 * 1 + 3 * 2 / 3) / 5, (2 + 2) / 5, (2 + 2) / 5),
    ("red", ["red", "blue"], (0 + 1 / 3) / 2, 1 / 6, 1 / 6),
    ("red", ["red"], 0, 0, 0),
    # nothing said
    ("", NEARLY, 0, 0, 0),
    ("the", ["a"] * 5 + ["an"] * 5, 1, 1, 1),
]


@pytest.mark.parametrize(("prediction", "answers", "official", "normalised", "stems"), HARD_ACCURACIES)
def test_hard_cases_of_the_three_accuracies(
    prediction: str, answers: list[str], official: float, normalised: float, stems: float
):
    assert vqa_accuracy(prediction, answers) == pytest.approx(official)
    assert vqa_accuracy_normalised(prediction, answers) == pytest.approx(normalised)
    assert vqa_accuracy_stemmed(prediction, answers) == pytest.approx(stems)


@given(
    st.sampled_from(["run", "Runs.", "running", "the run", "ran"]), st.lists(WORDS_THAT_STEM, min_size=1, max_size=10)
)
def test_stems_never_part_what_normalising_joins(prediction: str, answers: list[str]):
    assert vqa_accuracy_stemmed(prediction, answers) >= vqa_accuracy_normalised(prediction, answers) - 1e-12


def test_the_list_of_contractions_is_whole():
    assert len(CONTRACTIONS) == 114
    for bare, contraction in CONTRACTIONS.items():
        assert bare != contraction == contraction.lower()
        assert bare.replace("'", "") == contraction.replace("'", "")


def leave_one_out(prediction: str, answers: Sequence[str]) -> float:
    total = 0.0
    for left_out in range(len(answers)):
        others = [answer for position, answer in enumerate(answers) if position != left_out]
        total += min(1, sum(answer == prediction for answer in others) / 3)
    return total / len(answers)


WORDS = st.sampled_from(["red", "Red", "the red", "two", "2", "2.", "t-shirt", "t shirt", "dont", "don't", "", "a"])


@given(WORDS, st.lists(WORDS, min_size=1, max_size=10))
def test_accuracy_is_the_mean_over_leaving_each_annotator_out(prediction, answers):
    normal = leave_one_out(normalise(prediction), [normalise(answer) for answer in answers])
    agree = len(set(answers)) == 1
    assert vqa_accuracy(prediction, answers) == pytest.approx(leave_one_out(prediction, answers) if agree else normal)
    assert vqa_accuracy_normalised(prediction, answers) == pytest.approx(normal)


@given(WORDS, st.lists(WORDS, min_size=1, max_size=10), st.randoms())
def test_the_order_of_the_annotators_does_not_matter(prediction, answers, random):
    shuffled = random.sample(answers, len(answers))
    assert vqa_accuracy(prediction, shuffled) == pytest.approx(vqa_accuracy(prediction, answers), abs=1e-12)


@given(WORDS, st.lists(WORDS, min_size=1, max_size=10))
def test_no_prediction_beats_the_best_accuracy_and_one_of_the_answers_reaches_it(prediction, answers):
    assert vqa_accuracy(prediction, answers) <= best_accuracy(answers)
    assert best_accuracy(answers) in {vqa_accuracy(answer, answers) for answer in answers}


def test_the_ceiling_is_below_one_where_too_few_agree():
    assert best_accuracy(annotators(red=3, blue=3, green=2, white=2)) == pytest.approx(0.9)
    assert best_accuracy(annotators(red=4, blue=3, green=3)) == 1.0


@pytest.mark.parametrize("measure", [vqa_accuracy, vqa_accuracy_normalised, vqa_accuracy_stemmed])
def test_without_answers_there_is_no_accuracy(measure):
    with pytest.raises(DataError, match="no answers"):
        measure("red", [])
    with pytest.raises(DataError, match="no answers"):
        best_accuracy([])
