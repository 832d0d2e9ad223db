"""The few-shot prompt: how demonstrations and query are put to a model, and how its answer is read.

The wording is a template's (vlms.template). Three layouts put it together: one user turn of image, text, image, text,
..., query image, query text; a user turn and an assistant turn for each demonstration; or plain text without turns,
for models that know no chat. Several images of an example stand side by side before its text, in their order; examples
without an image leave it out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shotsmith.files import digest
from shotsmith.recipe.models import Layout, PromptSettings
from shotsmith.records import Request
from shotsmith.vlms.prompting.chat_template import render_chat
from shotsmith.vlms.prompting.template import Template, load_template

PROMPT_VERSION = "1"
"""Changes with every change to this file that can change a completion: it is part of a VLM's identity."""

Message = dict[str, Any]
"""One turn: its role, and its content as a list of parts {"type": "text" or "image", ...}."""

_MARK = "mark0mark"


@dataclass(frozen=True, slots=True)
class Prompt:
    """Wording, layout and system prompt."""

    template: Template
    layout: Layout = "single_turn"
    system: str | None = None

    @property
    def identity(self) -> str:
        """Everything here that decides a completion; the version alone for the default."""
        if self == DEFAULT_PROMPT:
            return PROMPT_VERSION
        content = json.dumps([self.template.model_dump(mode="json"), self.system], sort_keys=True)
        return f"{PROMPT_VERSION}:{self.layout}:{digest(content)[:16]}"

    def texts(self, request: Request) -> list[str]:
        """The texts of the prompt in order: one of each example; with turns, a question and an answer of each
        demonstration. The query's comes last."""
        return [*self._shown(request), self.template.query.format(question=request.query.question)]

    def messages(self, request: Request) -> list[Message]:
        """The prompt as chat messages, as `apply_chat_template` takes them; images are given by path."""
        shown = (*request.demonstrations, request.query)
        images = [[str(image) for image in example.images] for example in shown]
        return self.arrange(images, self.texts(request))

    def arrange(self, images: Sequence[Sequence[str]], texts: Sequence[str]) -> list[Message]:
        """Turns from the images of each example and from texts as `texts` gives them."""
        turns = [] if self.system is None else [_turn("system", [_text(self.system)])]
        if self.layout == "multi_turn":
            for some, text, answer in zip(images, texts[::2], (*texts[1::2], None), strict=True):
                turns.append(_turn("user", [*map(_image, some), _text(text)]))
                if answer is not None:
                    turns.append(_turn("assistant", [_text(answer)]))
            return turns
        parts = [part for pair in zip(images, texts, strict=True) for part in (*map(_image, pair[0]), _text(pair[1]))]
        return [*turns, _turn("user", parts)]

    def count_texts(self, examples: int) -> int:
        """How many texts a prompt of so many examples has, the query among them."""
        return 2 * examples - 1 if self.layout == "multi_turn" else examples

    def render(self, processor: Any, chat: list[Message]) -> str:
        """Messages as the text that is tokenised, with one placeholder for each image, up to where the answer begins.

        Raises InputError where the processor has no chat template and one is needed, or it fails.
        """
        if self.layout != "plain":
            return render_chat(processor, chat, add_generation_prompt=True)
        image = self.template.image.format(image=processor.image_token)
        return "".join(image if part["type"] == "image" else part["text"] for turn in chat for part in turn["content"])

    def lead(self, processor: Any) -> str:
        """What stands between the end of the prompt and its answer: a space, for many models.

        In plain text it is what a demonstration has there; with turns, what the chat template puts before an answer
        of the assistant beyond what it ends a prompt with. Empty where it puts it in some other way.
        """
        if self.layout == "plain":
            demonstration = self.template.demonstration
            if not demonstration.startswith(self.template.query):
                return ""
            return demonstration.removeprefix(self.template.query).partition("{answer}")[0]
        asked = [_turn("user", [_text("?")])]
        answered = [*asked, _turn("assistant", [_text(_MARK)])]
        begun = render_chat(processor, asked, add_generation_prompt=True)
        whole = render_chat(processor, answered)
        return whole.removeprefix(begun).partition(_MARK)[0] if whole.startswith(begun) and _MARK in whole else ""

    def cut(self, generated: str) -> str:
        """The answer in a generated text."""
        return self.template.answer.cut(generated)

    def _shown(self, request: Request) -> Iterator[str]:
        for example in request.demonstrations:
            if self.layout == "multi_turn":
                yield self.template.query.format(question=example.question)
                yield example.answer
            else:
                yield self.template.demonstration.format(question=example.question, answer=example.answer)


def load_prompt(settings: PromptSettings) -> Prompt:
    """The prompt a recipe names. Raises InputError naming the template's file and field."""
    return Prompt(load_template(settings.template), settings.layout, settings.system)


def _turn(role: str, content: list[dict[str, str]]) -> Message:
    return {"role": role, "content": content}


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _image(image: str) -> dict[str, str]:
    return {"type": "image", "image": image}


DEFAULT_PROMPT = load_prompt(PromptSettings())
messages = DEFAULT_PROMPT.messages
cut_answer = DEFAULT_PROMPT.cut
