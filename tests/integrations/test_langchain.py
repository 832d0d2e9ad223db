"""A selector in the prompt templates of LangChain."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langchain_core", reason="langchain-core is not installed")

from langchain_core.example_selectors import BaseExampleSelector
from langchain_core.prompts import (
    ChatPromptTemplate,
    FewShotChatMessagePromptTemplate,
    FewShotPromptTemplate,
    PromptTemplate,
)

import shotsmith
from shotsmith.errors import InputError
from shotsmith.integrations.langchain import ShotsmithExampleSelector


@pytest.fixture
def selector(rows: list[Mapping[str, Any]]) -> shotsmith.Selector:
    return shotsmith.selector("mixed").index(rows)


def _data_url(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"


def test_a_few_shot_prompt_shows_what_the_selector_selects(selector: shotsmith.Selector, pictures: list[Path]) -> None:
    examples = ShotsmithExampleSelector(selector, shots=3)
    assert isinstance(examples, BaseExampleSelector)
    prompt = FewShotPromptTemplate(
        example_selector=examples,
        example_prompt=PromptTemplate.from_template("Q: {question}\nA: {answer}"),
        suffix="Q: {question}\nA:",
        input_variables=["question", "image"],
    )
    query = {"question": "what is it called?", "image": str(pictures[20])}
    chosen = selector.select(**query, shots=3)
    expected = [f"Q: {one.question}\nA: {one.answer}" for one in chosen.examples]
    assert prompt.format(**query) == "\n\n".join([*expected, "Q: what is it called?\nA:"])
    assert asyncio.run(prompt.aformat(**query)) == prompt.format(**query)


def test_a_chat_prompt_shows_images_too(selector: shotsmith.Selector, pictures: list[Path]) -> None:
    asked = [
        {"type": "image_url", "image_url": {"url": "{image}"}},
        {"type": "text", "text": "{question}"},
    ]
    shown = FewShotChatMessagePromptTemplate(
        example_selector=ShotsmithExampleSelector(selector, shots=2),
        example_prompt=ChatPromptTemplate.from_messages([("human", asked), ("ai", "{answer}")]),
        input_variables=["question", "image"],
    )
    prompt = ChatPromptTemplate.from_messages([shown, ("human", asked)])
    query = {"question": "what is it called?", "image": _data_url(pictures[20])}
    messages = prompt.invoke(query).to_messages()
    chosen = selector.select(question=query["question"], image=pictures[20], shots=2)
    assert [message.type for message in messages] == ["human", "ai", "human", "ai", "human"]
    assert [message.content for message in messages[1::2]] == [one.answer for one in chosen.examples]
    images = [message.content[0]["image_url"]["url"] for message in messages[::2]]
    assert images == [_data_url(one.images[0]) for one in (*chosen.examples, chosen.query)]
    awaited = asyncio.run(prompt.ainvoke(query)).to_messages()
    assert awaited == messages


def test_added_examples_are_selected(selector: shotsmith.Selector, pictures: list[Path]) -> None:
    examples = ShotsmithExampleSelector(selector, shots=1, question="asked", answer="said", image="photo")
    new = {"asked": "what is it called?", "said": "novelty", "photo": pictures[25]}
    added = examples.add_example(new)
    assert examples.select_examples({"asked": "what is it called?", "photo": pictures[25]}) == [
        {"id": added, "asked": "what is it called?", "said": "novelty", "photo": _data_url(pictures[25])}
    ]
    asyncio.run(examples.aadd_example({**new, "id": "again", "photo": _data_url(pictures[26])}))
    query = {"asked": "what is it called?", "photo": str(pictures[26])}
    assert asyncio.run(examples.aselect_examples(query))[0]["id"] == "again"
    with pytest.raises(InputError, match="two examples of the bank have the id 'again'"):
        examples.add_example({**new, "id": "again"})


def test_examples_without_images_have_an_empty_one() -> None:
    bank = [{"question": f"who painted number {n}?", "answer": f"painter {n}"} for n in range(5)]
    examples = ShotsmithExampleSelector(shotsmith.selector("text_similar").index(bank), shots=2)
    found = examples.select_examples({"question": "who painted number 3?"})
    assert [one["image"] for one in found] == ["", ""] and found[-1]["answer"] == "painter 3"
    assert examples.select_examples({"question": "who painted number 3?", "image": ""}) == found


def test_an_example_with_several_images_is_refused(pictures: list[Path]) -> None:
    bank = [{"id": "pair", "image": pictures[:2], "question": "which is older?", "answer": "the first"}]
    examples = ShotsmithExampleSelector(shotsmith.selector("mixed").index(bank), shots=1)
    with pytest.raises(InputError, match="field image: example 'pair' has several images"):
        examples.select_examples({"question": "which is older?", "image": pictures[2]})


def test_what_is_missing_is_named(selector: shotsmith.Selector) -> None:
    examples = ShotsmithExampleSelector(selector)
    with pytest.raises(InputError, match="field question: the prompt's variables lack it"):
        examples.select_examples({"text": "what?"})
    with pytest.raises(InputError, match="field answer: the example lacks it"):
        examples.add_example({"question": "what?"})
    with pytest.raises(InputError, match="is a URL, which is not fetched"):
        examples.select_examples({"question": "what?", "image": "https://example.org/a.png"})
    with pytest.raises(InputError, match="is no data URL of an image"):
        examples.select_examples({"question": "what?", "image": "data:image/png;base64,!!"})
