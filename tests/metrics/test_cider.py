from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.errors import DataError
from shotsmith.metrics.cider import CiderScorer, caption_tokens

REFERENCES = {
    "dog": ["a brown dog runs across a green field", "the dog is running in the grass", "a dog runs on grass"],
    "cat": ["a black cat sleeps on a red sofa", "a cat lies on the sofa", "the cat is asleep on a couch"],
    "bus": ["a red bus waits at the stop", "a double decker bus in the street", "people board a red bus"],
    "man": ["a man rides a horse on the beach", "a man on a horse near the sea", "man riding a brown horse"],
    "cup": [
        "a white cup of coffee on a table",
        "coffee in a white cup",
        "a cup stands on the table next to a spoon",
    ],
}
SCORER = CiderScorer(REFERENCES.values())
CAPTIONS = st.lists(st.sampled_from(["a", "dog", "runs", "red", "bus", "zebra"]), max_size=8).map(" ".join)
ASCII = st.characters(max_codepoint=127)
REFERENCE_SETS = st.lists(CAPTIONS, min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("example", "caption", "published"),
    [
        ("dog", "a brown dog runs across a green field", 4.038862962238314),
        ("cat", "a cat lies on the red sofa", 3.279632975410021),
        ("bus", "bus", 0.8586530863402086),
        ("man", "horse horse horse horse", 0.27911155057416304),
        ("cup", "", 0.0),
        ("dog", "a zebra drinks water", 0.0),
        (
            "cat",
            "the cat is asleep on a couch while the rain falls on the roof of the old house near the sea",
            0.1297565958325606,
        ),
        ("bus", "a red bus", 2.736986194526115),
        ("man", "a man rides a brown horse near the sea", 3.6049227330365037),
        ("cup", "a white cup of coffee next to a white cup of coffee", 1.6496675695271115),
    ],
)
def test_scores_are_those_of_the_published_implementation(example: str, caption: str, published: float):
    # Computed with pycocoevalcap 1.2 on these very references, one caption for each example.
    assert SCORER.score(caption, REFERENCES[example]) == pytest.approx(published, abs=1e-9)


def test_references_outside_the_corpus_are_scored_with_the_corpus_frequencies():
    caption = "three zebras drink muddy water"
    assert SCORER.score(caption, [caption]) == pytest.approx(10.0)


@given(CAPTIONS, REFERENCE_SETS)
def test_scores_lie_between_0_and_10(caption: str, references: list[str]):
    assert 0 <= SCORER.score(caption, references) <= 10 + 1e-9


@given(CAPTIONS, REFERENCE_SETS, st.randoms(use_true_random=False))
def test_the_order_of_references_changes_nothing(caption: str, references: list[str], random):
    shuffled = random.sample(references, len(references))
    assert SCORER.score(caption, shuffled) == pytest.approx(SCORER.score(caption, references))


@given(REFERENCE_SETS, CAPTIONS)
def test_no_caption_beats_the_only_reference(references: list[str], caption: str):
    best = SCORER.score(references[0], references[:1])
    assert SCORER.score(caption, references[:1]) <= best + 1e-9


def test_repeating_a_word_and_running_on_gain_nothing():
    once = SCORER.score("a red bus", REFERENCES["bus"])
    assert SCORER.score("a red bus bus bus", REFERENCES["bus"]) < once
    assert SCORER.score("a red bus " + "and so it goes on " * 5, REFERENCES["bus"]) < once / 2


def test_words_that_every_example_has_count_for_nothing():
    scorer = CiderScorer([["a dog"], ["a cat"], ["a bus"]])
    assert scorer.score("a", ["a"]) == 0
    assert scorer.score("dog", ["dog"]) > 0


def test_a_corpus_of_one_example_is_an_error_and_no_zero():
    with pytest.raises(DataError, match="at least two examples"):
        CiderScorer([["a dog", "the dog"]])


def test_a_caption_without_references_is_an_error_and_no_zero():
    with pytest.raises(DataError, match="no captions to compare with"):
        SCORER.score("a dog", [])


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        # As the Penn Treebank tokeniser of Stanford CoreNLP 3.4.1 gives them, punctuation dropped.
        ("A man's dog doesn't bark at the mail-carrier.", "a man 's dog does n't bark at the mail-carrier"),
        (
            "Two dogs -- one black, one white -- run; they can't stop!",
            "two dogs one black one white run they ca n't stop",
        ),
        ('A 3-year-old eats 1,000 "sweet" cakes at 10:30 a.m.', "a 3-year-old eats 1,000 sweet cakes at 10:30 a.m."),
        (
            "A man & a woman on a U.S. street: $5/hour, 50% off...",
            "a man & a woman on a u.s. street $ 5/hour 50 % off",
        ),
        ("They're happy, we've won, he'll go, I'd stay", "they 're happy we 've won he 'll go i 'd stay"),
        ("it cannot be", "it can not be"),
        ("‘Curly’ “quotes” don’t matter – really", "curly quotes do n't matter really"),
        ("A café with a blue t-shirt", "a café with a blue t-shirt"),
        ("", ""),
    ],
)
def test_tokens_are_those_of_the_published_evaluation(caption: str, tokens: str):
    assert caption_tokens(caption) == tokens.split()


@given(st.text(ASCII, max_size=40))
def test_case_and_outer_punctuation_change_no_token(caption: str):
    assert caption_tokens(f"«({caption.upper()}!)»") == caption_tokens(caption)


@pytest.mark.parametrize(
    ("caption", "worked_out"),
    [
        # Of n = 1 to 4 only words and pairs exist: both cosines are 1, the other two 0.
        ("red dog", 10 * (1 + 1) / 4),
        # One of two words is shared, no pair is.
        ("red cat", 10 * (1 / 2) / 4),
        # All words weigh log 2: cosines 2 / (sqrt 4 sqrt 2) and 1 / sqrt 3; two words too many cost exp(-2^2 / 72).
        ("red dog runs off", 10 * (2 / 8**0.5 + 1 / 3**0.5) / 4 * math.exp(-4 / 72)),
        # Repeating counts no more than the reference does: (1 + 1) / (sqrt 5 sqrt 2); pairs 1 / sqrt 2.
        ("red red dog", 10 * (2 / 10**0.5 + 1 / 2**0.5) / 4 * math.exp(-1 / 72)),
    ],
)
def test_scores_are_those_worked_out_by_hand(caption: str, worked_out: float):
    scorer = CiderScorer([["red dog"], ["blue cat"]])
    assert scorer.score(caption, ["red dog"]) == pytest.approx(worked_out, abs=1e-12)
