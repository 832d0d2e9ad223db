from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.records import Example, Request
from shotsmith.vlms.prompting.prompts import DEFAULT_PROMPT, cut_answer, messages

SHOWN = Example(1, (Path("shown.png"),), 1, "what is it?", ("tea", "cup", "cup"))
ASKED = Example(2, (Path("asked.png"),), 2, "where from?", ("paris",))


def test_a_demonstration_shows_its_most_common_answer_and_ends_its_line():
    assert DEFAULT_PROMPT.texts(Request(ASKED, (SHOWN,)))[0] == "Question: what is it? Short answer: cup\n"


def test_a_query_leaves_its_answer_open():
    assert DEFAULT_PROMPT.texts(Request(ASKED)) == ["Question: where from? Short answer:"]


def test_one_user_turn_alternates_images_and_texts_and_ends_with_the_query():
    (turn,) = messages(Request(ASKED, (SHOWN, ASKED)))
    assert turn["role"] == "user"
    assert [part["type"] for part in turn["content"]] == ["image", "text"] * 3
    assert [part["image"] for part in turn["content"][::2]] == ["shown.png", "asked.png", "asked.png"]
    assert [part["text"] for part in turn["content"][1::2]] == [
        "Question: what is it? Short answer: cup\n",
        "Question: where from? Short answer: paris\n",
        "Question: where from? Short answer:",
    ]


def test_the_query_s_own_answer_is_not_in_the_prompt():
    assert "paris" not in str(messages(Request(ASKED, (SHOWN,))))


@pytest.mark.parametrize(
    ("generated", "answer"),
    [
        ("red", "red"),
        (" red ", "red"),
        ("red.", "red"),
        ("red .", "red"),
        ("\nred", "red"),
        ("red\nQuestion: what", "red"),
        ("red Question: what", "red"),
        ("red Short answer: blue", "red"),
        ("a short answer", "a short answer"),
        ("no. 5", "no. 5"),
        ("St. Paul.", "St. Paul"),
        ("Question", ""),
        ("", ""),
    ],
)
def test_the_answer_is_what_stands_before_the_next_demonstration(generated, answer):
    assert cut_answer(generated) == answer


@given(st.lists(st.sampled_from([*DEFAULT_PROMPT.template.answer.ends, "red", " ", ".", "Short", "x"])).map("".join))
def test_an_answer_holds_none_of_its_ends_nor_surrounding_space(generated):
    answer = cut_answer(generated)
    assert not any(end in answer for end in DEFAULT_PROMPT.template.answer.ends)
    assert answer == answer.strip()
    assert answer in generated
