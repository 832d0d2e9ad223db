"""The prompt of one query, as an evaluation sends it."""

from __future__ import annotations

import numpy as np

from shotsmith.encoders.embedded import Embedded
from shotsmith.errors import InputError
from shotsmith.experiment.parts import Parts
from shotsmith.records import Request
from shotsmith.runs import Split
from shotsmith.samplers.pools import draw_pools
from shotsmith.selectors.protocol import Tasks
from shotsmith.selectors.training_free import TRAINING_FREE
from shotsmith.vlms.pretrained.loading import load_processor_and_prompt, model_folder
from shotsmith.vlms.prompting.prompts import load_prompt
from shotsmith.vlms.prompting.shown import ShownPrompt, show_prompt

_BLIND = frozenset({"random", "zero_shot"})
"""Selectors and samplers that look at no embeddings."""


def request_of(parts: Parts, split: Split, number: int, shots: int, selector: str) -> Request:
    """The request that a selector's sequence for the query of this number (from 0) makes.

    Raises InputError where there is no such query or selector, or the pool is smaller than the number of shots.
    """
    if selector not in TRAINING_FREE:
        known = ", ".join(TRAINING_FREE)
        raise InputError(f"no selector is called '{selector}'; there are {known}", field="--selector")
    if not 0 <= shots <= parts.recipe.pools.size:
        raise InputError(f"between 0 and {parts.recipe.pools.size} can be shown (pools.size)", field="--shots")
    count = len(parts.query_rows(split))
    if not 0 <= number < count:
        raise InputError(f"the {split} split has the queries 0 to {count - 1}", field="--query")
    tasks = _task(parts, split, number, blind=selector in _BLIND and parts.recipe.pools.sampler in _BLIND)
    (sequence,) = TRAINING_FREE[selector]().select(tasks, shots)
    return Request(tasks.queries[0], tasks.demonstrations(0, sequence))


def sent(parts: Parts, request: Request) -> ShownPrompt | list[dict[str, object]]:
    """The prompt of the local VLM, whose weights are not loaded for it; the messages for a server."""
    settings = parts.recipe.vlm
    if settings.server is not None:
        return load_prompt(settings.prompt).messages(request)
    processor, prompt = load_processor_and_prompt(model_folder(settings.path, weights=False), settings)
    return show_prompt(processor, prompt, request)


def _task(parts: Parts, split: Split, number: int, *, blind: bool) -> Tasks:
    """One query with its pool. What looks at no embeddings is given none, so that nothing is embedded for it."""
    if not blind:
        tasks = parts.tasks(split)
        embedded = tasks.query_embeddings.rows(np.array([number], dtype=np.int64))
        pool = tasks.pools[number : number + 1]
        return Tasks((tasks.queries[number],), tasks.index, pool, embedded, tasks.index_embeddings)
    query = parts.splits.named()[split][parts.query_rows(split)[number]]
    index = parts.splits.train
    none, nothing = (Embedded(*(np.zeros((rows, 0), dtype=np.float32),) * 2) for rows in (1, len(index)))
    pools = draw_pools(parts.recipe.pools, [query], index, none, nothing)
    return Tasks((query,), index, pools, none, nothing)
