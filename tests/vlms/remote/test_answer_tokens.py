"""Which tokens are an answer: by ids, by number, and by texts where they leave one reading."""

from __future__ import annotations

import pytest

from shotsmith.vlms.remote.answer_tokens import (
    KnownAnswer,
    Token,
    answer_log_prob,
    learn,
    log_prob_of_last,
    read_tokens,
)
from shotsmith.vlms.remote.retry import BrokenAnswer


def told(*tokens: tuple[str, float]) -> list[object]:
    """vLLM's `prompt_logprobs` of tokens given by text and log-probability."""
    return [None, *({str(n): {"logprob": value, "decoded_token": text}} for n, (text, value) in enumerate(tokens))]


START = ("assistant", -9.0), ("\n", -9.0)


@pytest.mark.parametrize(
    ("answer", "tokens", "total"),
    [
        ("red", [("red", -1.0)], -1.0),
        ("red", [(" red", -1.0)], -1.0),
        ("dark red", [("dark", -1.0), (" red", -2.0)], -3.0),
        ("dark red", [("dark", -1.0), ("red", -2.0)], -3.0),
        ("dark red", [("d", -1.0), ("ark r", -2.0), ("ed", -4.0)], -7.0),
        ("\u00e9t\u00e9", [("", -8.0), ("\u00e9", -0.1), ("t", -1.0), ("", -2.0), ("\u00e9", -4.0)], -15.1),
        ("\u65e5", [("", -8.0), ("", -4.0), ("\u65e5", -0.1)], -12.1),
        ("\u65e5\u672c", [("", -8.0), ("\u65e5\u672c", -0.1)], -8.1),
        ("\u65e5", [("<0xE6>", -1.0), ("<0x97>", -2.0), ("<0xA5>", -4.0)], -7.0),
        ("a\u65e5", [("a", -0.5), ("<0xE6>", -1.0), ("<0x97>", -2.0), ("<0xA5>", -4.0)], -7.5),
        ("\u65e5", [("\ufffd", -1.0), ("\ufffd", -2.0), ("\ufffd", -4.0)], -7.0),
        ("\u65e5b", [("\ufffd", -1.0), ("\ufffd", -2.0), ("b", -4.0)], -7.0),
        ("red", [(" ", -0.5), ("red", -1.0)], -1.5),
        ("7 up", [("\u2581", -0.5), ("7", -1.0), ("\u2581up", -2.0)], -3.5),
        ("\u65e5", [(" ", -0.5), ("", -8.0), ("\u65e5", -0.1)], -8.6),
        ("\U0001f600", [("", -1), ("", -2), ("", -4), ("\U0001f600", -8)], -15),
        ("a.b*c", [("a.b", -1.0), ("*c", -2.0)], -3.0),
        ("<0x41>", [("<0x41>", -1.0)], -1.0),
    ],
)
def test_all_tokens_of_an_answer_are_counted(answer: str, tokens: list[tuple[str, float]], total: float) -> None:
    assert answer_log_prob(told(*START, *tokens), answer) == pytest.approx(total)


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        ("e", [("\nre", -1.0)]),
        ("ed", [("red", -1.0)]),
        ("red", [("blue", -1.0)]),
        ("red", [("", -1.0), ("red", -1.0)]),
        ("\u00e9", [("", -1.0), ("", -1.0), ("\u00e9", -1.0)]),
        ("", [("red", -1.0)]),
        ("red", []),
        ("red", [("red", -1.0), (" ", -1.0)]),
    ],
)
def test_what_has_no_reading_or_several_is_a_failure(answer: str, tokens: list[tuple[str, float]]) -> None:
    with pytest.raises(BrokenAnswer, match="cannot be told") as caught:
        answer_log_prob(told(*START, *tokens), answer)
    assert caught.value.permanent


NAN, HUGE = float("nan"), float("inf")
GOOD = {"logprob": -1.0, "decoded_token": "red"}


@pytest.mark.parametrize(
    "value",
    [
        7,
        "red",
        {"1": GOOD},
        [7],
        [[GOOD]],
        ["red"],
        [{}],
        [{"1": GOOD, "2": GOOD}],
        [{"1": None}],
        [{"1": 7}],
        [{"1": {}}],
        *([{"1": GOOD | {"logprob": wrong}}] for wrong in (None, "-1", True, [], {}, 0.5, HUGE, -HUGE, NAN)),
        [{"1": GOOD | {"logprob": -(10**400)}}],
        [{"1": GOOD | {"decoded_token": 7}}],
    ],
    ids=lambda value: str(value)[:50],
)
def test_malformed_log_probabilities_are_no_answer(value: object) -> None:
    with pytest.raises(BrokenAnswer):
        answer_log_prob(value, "red")


def test_answers_are_told_by_ids_whatever_the_texts_of_their_tokens() -> None:
    known = learn((1, 9, 2, 10), (1, 9, 2, 10, 58, 77))
    assert known == KnownAnswer((1, 9, 2, 10), (58, 77))
    tokens = [None, *(Token(number, None, -float(number)) for number in (9, 2, 10, 58, 77))]
    assert log_prob_of_last(tokens, 2, known.ids) == -135.0
    with pytest.raises(BrokenAnswer, match="other tokens"):
        log_prob_of_last(tokens, 2, (58, 78))


def test_tokens_that_merge_with_the_prompt_are_not_an_answer_s() -> None:
    assert learn((1, 2, 3), (1, 2, 33, 4)) is None
    assert learn((1, 2, 3), (1, 2, 3)) is None
    assert learn((1, 2, 3), (1, 2)) is None


def test_a_learned_answer_is_only_taken_where_the_prompt_ends_alike() -> None:
    known = learn(tuple(range(20)), (*range(20), 58, 77))
    assert known is not None
    assert known.ends((99, *range(10, 20), 58, 77))
    assert not known.ends((*range(19), 98, 58, 77))
    assert not known.ends((*range(20), 58))


@pytest.mark.parametrize("count", [0, -1, 3, 4])
def test_no_number_is_made_of_tokens_that_are_not_there(count: int) -> None:
    with pytest.raises(BrokenAnswer):
        log_prob_of_last(read_tokens(told(("a", -1.0), ("b", -1.0))), count)
