"""Demonstrations in chats."""

from __future__ import annotations

from typing import Any

import pytest

from shotsmith.serve.chat import asked_in, inserted, messages_of
from shotsmith.serve.faults import Refused


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def image(value: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": value}}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


SYSTEM, ANSWER = {"role": "system", "content": "Be brief."}, {"role": "assistant", "content": [text("demo answer")]}
SINGLE = [user(image("demo"), text("Demo? Answer."), image("mine"), text("Question: mine?"))]
SEVERAL = [user(image("demo"), text("Demo?")), ANSWER, user(image("mine"), text("Question: mine?"))]


def through(messages: list[dict[str, Any]], prompt: list[dict[str, Any]]) -> list[Any]:
    asked = asked_in(messages_of({"messages": messages}))
    assert asked is not None
    return inserted(messages, asked, prompt)


@pytest.mark.parametrize("prompt", [SINGLE, SEVERAL])
def test_a_plain_question_is_worded_as_the_prompt_words_it(prompt: list[dict[str, Any]]) -> None:
    assert through([user(image("mine"), text("mine?"))], prompt) == prompt
    assert through([user(text("mine?"), image("mine"))], prompt) == prompt


def test_a_question_about_several_images_is_plain_too() -> None:
    prompt = [user(image("demo"), text("Demo? Answer."), image("one"), image("two"), text("Question: mine?"))]
    assert through([user(image("one"), text("mine?"), image("two"))], prompt) == prompt


def test_turns_before_and_after_stay() -> None:
    before = [SYSTEM, user(text("hello")), {"role": "assistant", "content": "hi"}]
    after = [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
    ]
    asked = {**user(image("mine"), text("mine?")), "name": "ann"}
    found = through([*before, asked, *after], SEVERAL)
    assert found == [*before, *SEVERAL[:2], {**SEVERAL[2], "name": "ann"}, *after]


def test_a_turn_of_another_kind_follows_the_demonstrations_unchanged() -> None:
    own = [image("mine"), text("first?"), text("mine?"), {"type": "input_audio", "input_audio": {}}]
    assert through([user(*own)], SINGLE) == [user(image("demo"), text("Demo? Answer."), *own)]
    assert through([user(*own)], SEVERAL) == [*SEVERAL[:2], user(*own)]
    prompt = [user(text("Demo? Answer."), text("Question: mine?"))]
    assert through([user(text("a"), text("b"))], prompt) == [user(text("Demo? Answer."), text("a"), text("b"))]


@pytest.mark.parametrize("role", ["system", "developer"])
def test_the_chats_own_system_turn_wins(role: str) -> None:
    asked = user(image("mine"), text("mine?"))
    assert through([asked], [SYSTEM, *SINGLE]) == [SYSTEM, *SINGLE]
    own = {"role": role, "content": "Be long."}
    assert through([own, asked], [SYSTEM, *SINGLE]) == [own, *SINGLE]


def test_the_question_is_the_last_user_turn() -> None:
    asked = asked_in([user(text("first?")), ANSWER, user(image("a"), text("x"), image("b"), text("y?")), ANSWER])
    assert asked is not None
    assert (asked.place, asked.question, asked.images) == (2, "x\ny?", ("a", "b"))


@pytest.mark.parametrize("messages", [[ANSWER], [user(image("a"))], [user(text(" "))], [user()], [SYSTEM]])
def test_a_chat_may_ask_nothing(messages: list[dict[str, Any]]) -> None:
    assert asked_in(messages) is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ([], None),
        ({}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [user("hi")]}, "messages[0].content[0]"),
        ({"messages": [user({"type": "text"})]}, "messages[0].content[0].text"),
        ({"messages": [user({"type": "image_url", "image_url": "a"})]}, "messages[0].content[0].image_url"),
        ({"messages": [user({"type": ["text"]})]}, "messages[0].content[0]"),
    ],
)
def test_what_is_no_chat_is_refused(body: Any, param: str | None) -> None:
    with pytest.raises(Refused) as refused:
        asked_in(messages_of(body))
    assert (refused.value.status, refused.value.param) == (400, param)


def test_images_of_a_turn_are_exchanged_in_their_order() -> None:
    own = [image("one"), text("mine?"), {"type": "image_url", "image_url": {"url": "two", "detail": "low"}}]
    asked = asked_in(messages_of({"messages": [user(*own)]}))
    assert asked is not None
    turned = asked.with_images(["ONE", "TWO"])
    assert turned.images == ("ONE", "TWO") and turned.question == "mine?"
    assert turned.parts == (
        image("ONE"),
        text("mine?"),
        {"type": "image_url", "image_url": {"url": "TWO", "detail": "low"}},
    )
