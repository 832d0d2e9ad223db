"""A selector as an example selector of LangChain, for few-shot prompt templates with and without images.

Needs the package langchain-core (`pip install 'shotsmith[langchain]'`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from langchain_core.example_selectors import BaseExampleSelector

from shotsmith.errors import InputError
from shotsmith.integrations.pictures import picture_of
from shotsmith.library.bank import Id
from shotsmith.library.selection import Selection
from shotsmith.library.selector import Selector
from shotsmith.vlms.prompting.data_urls import data_url


class ShotsmithExampleSelector(BaseExampleSelector):
    """Chooses the examples of a `FewShotPromptTemplate` or a `FewShotChatMessagePromptTemplate`.

    Each example is a dict with the keys `question` and `answer` (or what they are called), `id`, and `image`: the
    content as a data URL, '' where the example has none. The last one stands next to the query.
    """

    def __init__(
        self,
        selector: Selector,
        *,
        shots: int | Literal["auto"] = 4,
        question: str = "question",
        image: str = "image",
        answer: str = "answer",
        max_tokens: int | None = None,
        unfamiliar: Literal["flag", "fallback"] = "flag",
    ) -> None:
        """`question`, `image` and `answer` name the prompt's variables; the others are as in `Selector.select`."""
        self.selector = selector
        self.shots = shots
        self.question, self.image, self.answer = question, image, answer
        self.max_tokens = max_tokens
        self.unfamiliar = unfamiliar

    def add_example(self, example: Mapping[str, Any]) -> Id:
        """Put an example into the bank; returns its id.

        The image may be a path, bytes, a picture of Pillow or a data URL; the answer one text or several. Raises
        InputError where the question or the answer is missing, or the id is in the bank already.
        """
        if missing := [name for name in (self.question, self.answer) if name not in example]:
            raise InputError("the example lacks it", field=missing[0])
        row = {"question": example[self.question], "answers": example[self.answer]}
        if (picture := picture_of(example.get(self.image))) is not None:
            row["image"] = picture
        if "id" in example:
            row["id"] = example["id"]
        return self.selector.add([row])[0]

    def select_examples(self, input_variables: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The demonstrations for a query, in the order to show them.

        Raises InputError where the question is missing or an example has several images, and whatever `Selector.select`
        raises.
        """
        if self.question not in input_variables:
            raise InputError("the prompt's variables lack it", field=self.question)
        chosen = self.selector.select(
            question=input_variables[self.question],
            image=picture_of(input_variables.get(self.image)),
            shots=self.shots,
            max_tokens=self.max_tokens,
            unfamiliar=self.unfamiliar,
        )
        return self._examples(chosen)

    def _examples(self, chosen: Selection) -> list[dict[str, Any]]:
        if several := [
            one for one, example in zip(chosen.ids, chosen.examples, strict=True) if len(example.images) > 1
        ]:
            raise InputError(f"example {several[0]!r} has several images; a variable holds one", field=self.image)
        return [
            {
                "id": one,
                self.question: example.question,
                self.answer: example.answer,
                self.image: "" if example.image is None else data_url(example.image),
            }
            for one, example in zip(chosen.ids, chosen.examples, strict=True)
        ]
