"""The few-shot prompt: how demonstrations and query are put to a chat model, and how its answer is read.

One user turn holds image, text, image, text, ..., query image, query text; the model's own chat template does the rest.
The wording is the predecessor's (`Question: ... Short answer: ...`), with a line end after each demonstration.
"""

from __future__ import annotations

from typing import Any

from shotsmith.records import Example, Request

PROMPT_VERSION = "1"
"""Changes with every change to this file that can change a completion: it is part of a VLM's identity."""

ANSWER_ENDS = ("\n", "Question", "Short answer")
"""Where a generated answer stops being the answer: the model has begun to write another demonstration."""


def demonstration_text(example: Example) -> str:
    """The text that follows a demonstration's image: its question and most common answer."""
    return f"Question: {example.question} Short answer: {example.answer}\n"


def query_text(example: Example) -> str:
    """The text that follows the query's image: the question, left open."""
    return f"Question: {example.question} Short answer:"


def texts(request: Request) -> list[str]:
    """The text after each image of the prompt, in order; the query's comes last."""
    return [*map(demonstration_text, request.demonstrations), query_text(request.query)]


def messages(request: Request) -> list[dict[str, Any]]:
    """The prompt as chat messages, as `apply_chat_template` takes them; images are given by path."""
    images = [example.image for example in (*request.demonstrations, request.query)]
    content: list[dict[str, str]] = []
    for image, text in zip(images, texts(request), strict=True):
        content += [{"type": "image", "image": str(image)}, {"type": "text", "text": text}]
    return [{"role": "user", "content": content}]


def cut_answer(generated: str) -> str:
    """The answer in a generated text: up to the first of ANSWER_ENDS, without surrounding space and a final period."""
    answer = generated.strip()
    for end in ANSWER_ENDS:
        answer = answer.partition(end)[0]
    return answer.strip().removesuffix(".").rstrip()
