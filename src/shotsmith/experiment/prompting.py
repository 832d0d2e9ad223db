"""The prompt of one query, as an evaluation sends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from shotsmith.embeddings.embedded import Embedded
from shotsmith.embeddings.pools import draw_random_pools
from shotsmith.errors import InputError
from shotsmith.experiment.parts import Parts
from shotsmith.recipe import VLMSettings
from shotsmith.runs import Split
from shotsmith.selectors.protocol import Tasks
from shotsmith.selectors.training_free import TRAINING_FREE
from shotsmith.vlms.pretrained.lengths import most_prompt_tokens
from shotsmith.vlms.pretrained.loading import load_processor_and_prompt, model_folder
from shotsmith.vlms.prompting.budget import Fitted
from shotsmith.vlms.prompting.prompts import load_prompt
from shotsmith.vlms.prompting.shown import show_prompt

_BLIND = ("random", "zero_shot")
"""Selectors that look at no embeddings."""


def prompt_of(parts: Parts, split: Split, number: int, shots: int, selector: str) -> Fitted:
    """The prompt that a selector's sequence for the query of this number (from 0) makes, within its budget.

    The selector chooses from the query's pool, or from the whole bank where the recipe has no pools. Raises InputError
    where there is no such query or selector, or there are fewer candidates than `shots`.
    """
    if selector not in TRAINING_FREE:
        known = ", ".join(TRAINING_FREE)
        raise InputError(f"no selector is called '{selector}'; there are {known}", field="--selector")
    count = len(parts.query_rows(split))
    if not 0 <= number < count:
        raise InputError(f"the {split} split has the queries 0 to {count - 1}", field="--query")
    pools = parts.pool_settings
    left = len(parts.splits.bank) - len(parts.barred[split].rows[number]) if pools is None else pools.size
    if not 0 <= shots <= left:
        raise InputError(f"between 0 and {left} can be shown", field="--shots")
    tasks = _task(parts, split, number, blind=selector in _BLIND and (pools is None or pools.sampler == "random"))
    (sequence,) = TRAINING_FREE[selector]().select(tasks, shots)
    return replace(tasks, budget=parts.budget).fitted(0, sequence)


class PromptSender:
    """Shows prompts as a recipe's VLM is sent them. The VLM's processor is loaded once, its weights never."""

    def __init__(self, settings: VLMSettings) -> None:
        """Raises InputError where the recipe names a processor or template that is not there."""
        self._most_tokens: int | None = None
        self._processor: Any = None
        if settings.local_model is None:
            self._prompt = load_prompt(settings.prompt)
        else:
            folder = model_folder(settings.local_model, weights=False)
            self._processor, self._prompt = load_processor_and_prompt(folder, settings)
            self._most_tokens = most_prompt_tokens(folder, settings)

    def shown(self, fitted: Fitted, *, ids: bool = False) -> dict[str, Any]:
        """A prompt as plain values: its text, its length in tokens, its images with their grids and tokens.

        A VLM of a server or a backend is sent `messages`. `ids` adds the token ids. Raises DataError for an image that
        cannot be decoded.
        """
        request = fitted.request
        head: dict[str, Any] = {
            "query": request.query.id,
            "demonstrations": [example.id for example in request.demonstrations],
            "left_out": fitted.left_out,
            "without_image": fitted.without_image,
        }
        if self._processor is None:
            return head | {"messages": self._prompt.messages(request)}
        prompt = show_prompt(self._processor, self._prompt, request, self._most_tokens)
        images = [
            {"file": str(one.file), "width": one.width, "height": one.height, "grid": one.grid, "tokens": one.tokens}
            for one in prompt.images
        ]
        told = head | {"text": prompt.text, "tokens": len(prompt.ids), "most_tokens": prompt.most_tokens}
        return told | {"images": images} | ({"ids": list(prompt.ids)} if ids else {})


def _task(parts: Parts, split: Split, number: int, *, blind: bool) -> Tasks:
    """One query with its pool or the bank. What looks at no embeddings is given none: nothing is embedded for it."""
    if not blind:
        tasks = parts.tasks(split)
        embedded = tasks.query_embeddings.rows(np.array([number], dtype=np.int64))
        pool = None if tasks.pools is None else tasks.pools[number : number + 1]
        query, barred = tasks.queries[number], [tasks.barred_from(number)]
        return Tasks((query,), tasks.index, pool, embedded, tasks.index_embeddings, barred=barred)
    query = parts.splits.named()[split][parts.query_rows(split)[number]]
    bank, barred = parts.splits.bank, [parts.barred[split].rows[number]]
    none, nothing = (Embedded(*(np.zeros((rows, 0), dtype=np.float32),) * 2) for rows in (1, len(bank)))
    settings = parts.pool_settings
    pools = None if settings is None else draw_random_pools(settings, [query], bank, barred)
    return Tasks((query,), bank, pools, none, nothing, barred=barred)
