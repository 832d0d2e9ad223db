"""Whether the prompts of a recipe fit into the VLM's context and into their budget, before anything is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from shotsmith.data.images import image_size
from shotsmith.errors import DataError, InputError
from shotsmith.records import Example, Request
from shotsmith.vlms.prompting.budget import PromptBudget

MAX_TOKENS = "vlm.prompt.max_tokens"


def check_queries(queries: Iterable[Example], budget: PromptBudget) -> None:
    """Raise DataError for the first query that exceeds the budget without any demonstration."""
    for query in queries:
        budget.fit(Request(query))


def check_context(
    queries: Sequence[Example],
    bank: Sequence[Example],
    shots: int,
    length: Callable[[Request], int],
    most_tokens: int,
    budget: PromptBudget | None = None,
) -> None:
    """Raise InputError where the longest prompt with so many demonstrations exceeds `most_tokens`.

    The prompt is made of the largest images and the longest texts of the bank and of the queries, whichever examples
    they belong to, and shortened to the budget. So it may be longer than any prompt that is asked, but hardly shorter.
    """
    longest = Request(_largest(queries, 1)[0], tuple(_largest(bank, shots)))
    if budget is not None:
        try:
            longest = budget.fit(longest).request
        except DataError:  # no single query is as large as this one: `check_queries` looks at each
            longest = replace(longest, demonstrations=())
    tokens = length(longest)
    if tokens > most_tokens:
        raise InputError(
            f"prompts of {shots} demonstrations can have up to {tokens:,} tokens, and the VLM's context holds "
            f"{most_tokens:,} with room for the answer: set {MAX_TOKENS}={most_tokens} to leave out demonstrations "
            "where a prompt is longer, or show fewer",
            field=MAX_TOKENS,
        )


def _largest(examples: Sequence[Example], count: int) -> list[Example]:
    """Examples made of the longest texts and, in the same order, the largest images."""
    texts = sorted(examples, key=lambda example: -len(example.question) - len(example.answer))[:count]
    shown = sorted(examples, key=lambda example: -_pixels(example))[:count]
    return [replace(text, images=image.images) for text, image in zip(texts, shown, strict=True)]


def _pixels(example: Example) -> int:
    sizes = map(image_size, example.images)
    return sum(width * height for width, height in sizes)
