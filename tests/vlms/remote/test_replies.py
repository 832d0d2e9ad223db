"""What counts as an answer of a server, and what never does."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from stub_server import completion

from shotsmith.vlms.remote.replies import read_models, read_reply, text_of
from shotsmith.vlms.remote.retry import BrokenAnswer

WRONG = (None, 7, 1.5, True, "text", [], [7], {}, {"a": 1})
"""Values of every type; each is wrong wherever another is needed."""


def read(reply: Any) -> str:
    return text_of(read_reply(reply, ("tiny",)))


@pytest.mark.parametrize("text", ["red", ""])
@pytest.mark.parametrize(
    "reason", ["content_filter", "tool_calls", "function_call", "safety", "", "\ud800", "x" * 9999]
)
def test_an_answer_that_was_withheld_is_none_with_or_without_text_and_not_asked_for_again(
    text: str, reason: str
) -> None:
    with pytest.raises(BrokenAnswer, match="withheld") as caught:
        read(completion(text, reason))
    assert caught.value.permanent and len(str(caught.value)) < 120


@pytest.mark.parametrize("text", ["red", "", None])
@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", None])
def test_a_refusal_is_no_answer_with_or_without_text(text: str | None, reason: str | None) -> None:
    with pytest.raises(BrokenAnswer, match="refuses") as caught:
        read(completion(text, reason, refusal="I cannot help with that."))
    assert caught.value.permanent


@pytest.mark.parametrize("reason", ["error", "abort"])
def test_what_the_server_gave_up_on_may_be_asked_again(reason: str) -> None:
    for text in ("red", ""):
        with pytest.raises(BrokenAnswer, match="gave up") as caught:
            read(completion(text, reason))
        assert not caught.value.permanent


def test_an_error_in_the_place_of_an_answer_is_none() -> None:
    with pytest.raises(BrokenAnswer, match="error"):
        read(completion("red") | {"error": {"message": "overloaded"}})
    reply = completion("red")
    reply["choices"][0]["error"] = {"code": 502}
    with pytest.raises(BrokenAnswer, match="gave up"):
        read(reply)


@pytest.mark.parametrize("reason", WRONG[:4] + WRONG[5:])
def test_a_reply_that_does_not_say_how_it_ended_is_none(reason: Any) -> None:
    with pytest.raises(BrokenAnswer, match="finish_reason"):
        read(completion("red", reason))


@pytest.mark.parametrize("reason", ["length", "max_tokens", "model_length"])
def test_a_text_that_was_cut_off_is_an_answer_and_known_as_such(reason: str) -> None:
    reply = read_reply(completion("a red", reason), ("tiny",))
    assert (text_of(reply), reply.truncated) == ("a red", True)
    assert not read_reply(completion("red"), ("tiny",)).truncated


def test_reasoning_without_an_answer_says_what_to_raise() -> None:
    with pytest.raises(BrokenAnswer, match=r"vlm\.max_new_tokens"):
        read(completion(None, "length", reasoning_content="The picture shows"))


@pytest.mark.parametrize(
    ("told", "is_it"),
    [
        ("tiny", True),
        ("tiny-2024-08-06", True),
        ("tiny-20240806", True),
        ("tiny-0613", True),
        ("tiny@main", True),
        ("tiny-mini", False),
        ("tiny-2024-08-06-mini", False),
        ("tin", False),
        ("other", False),
        ("", False),
        ("\ud800", False),
        ("x" * 10_000, False),
    ],
)
def test_a_reply_of_another_model_is_refused(told: str, is_it: bool) -> None:
    reply = completion("red") | {"model": told}
    if is_it:
        assert read(reply) == "red"
        return
    with pytest.raises(BrokenAnswer, match="not from tiny") as caught:
        read(reply)
    assert caught.value.permanent and len(str(caught.value)) < 300


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all fields."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [place for key, part in inner for place in places(part, (*path, key))]


NEEDED = [place for place in places(completion("red")) if not {"id", "object", "created", "index", "role"} & {*place}]


@pytest.mark.parametrize("place", NEEDED, ids=str)
def test_a_field_that_is_missing_or_of_a_wrong_type_is_no_answer_and_no_other_error(place: tuple[Any, ...]) -> None:
    for wrong in (*WRONG, "missing"):
        holder: Any = [copy.deepcopy(completion("red"))]
        *way, last = (0, *place)
        inner = holder
        for key in way:
            inner = inner[key]
        if wrong == "missing" and isinstance(inner, dict):
            del inner[last]
        elif isinstance(wrong, type(inner[last])) and isinstance(wrong, str):
            continue
        else:
            inner[last] = wrong
        with pytest.raises(BrokenAnswer):
            read(holder[0])


@pytest.mark.parametrize("text", ["\ud800", "red \udfff", "\ude00\ud83d"])
def test_half_a_character_is_no_text(text: str) -> None:
    with pytest.raises(BrokenAnswer, match="half a character"):
        read(completion(text))


@pytest.mark.parametrize("ids", [7, "1", {}, [1, "2"], [1.5], [True], [-1], [2**80], [None]])
def test_token_ids_that_are_none_are_no_answer(ids: Any) -> None:
    with pytest.raises(BrokenAnswer, match="token ids"):
        read(completion("red") | {"prompt_token_ids": ids})


def test_what_is_no_model_in_a_list_of_models_is_passed_over() -> None:
    listed = [7, None, [], {}, {"id": 7}, {"id": ""}, {"id": "\ud800"}, {"id": "tiny", "root": 7}, "tiny"]
    assert list(read_models({"data": listed})) == ["tiny"]
    assert read_models({}) == {}
    for wrong in (7, None, [], "tiny", {"data": 7}, {"data": "tiny"}, {"data": {"id": "tiny"}}):
        with pytest.raises(BrokenAnswer):
            read_models(wrong)
