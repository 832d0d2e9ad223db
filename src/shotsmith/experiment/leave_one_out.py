"""What a demonstration is worth when the VLM is asked again without it.

The estimate of `shotsmith.worth.value` compares prompts that differ in more than one demonstration. Here each prompt is
asked once more with the entry left out and the others in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from shotsmith.experiment.parts import Parts
from shotsmith.runs import Split
from shotsmith.statistics import benjamini_hochberg, paired_difference
from shotsmith.worth.asked import LEAVE_ONE_OUT, AskedPrompt
from shotsmith.worth.bank import BankWorth
from shotsmith.worth.value import Value

PER_ENTRY = 20
"""Queries that are asked for each entry at most."""


def leave_one_out(parts: Parts, worth: BankWorth, rows: Sequence[int], per_entry: int = PER_ENTRY) -> dict[int, Value]:
    """The score with each entry minus the score of the same prompt without it, on training and validation queries.

    Each query counts once, with the prompt that was logged last by key; validation queries come first. Values are in
    the unit of reports, with the bootstrap interval and permutation p of `paired_difference`, and p after Benjamini and
    Hochberg over `rows`. Entries shown to fewer than two of these queries have no value. Completions come from the
    store first; prompts that fail are left out.
    """
    chosen = {row: _prompts(worth.asked.judged[0], row, per_entry) for row in rows}
    pairs = [(row, prompt) for row, prompts in chosen.items() for prompt in prompts]
    without = _scores_without(parts, worth, pairs)
    found: dict[int, tuple[Value, float]] = {}
    for row in rows:
        scored = [
            (p.score, score) for (r, p), score in zip(pairs, without, strict=True) if r == row and score is not None
        ]
        if len(scored) < 2:
            continue
        with_it, without_it = worth.asked.scale * np.array(scored).T
        difference = paired_difference(with_it, without_it)
        value = Value(
            difference.difference, difference.low, difference.high, difference.p, 1.0, len(scored), len(scored)
        )
        found[row] = value, difference.p
    adjusted = benjamini_hochberg([p for _, p in found.values()])
    return {row: replace(value, adjusted=q) for (row, (value, _)), q in zip(found.items(), adjusted, strict=True)}


def _prompts(prompts: Sequence[AskedPrompt], row: int, most: int) -> list[AskedPrompt]:
    """One prompt of each query that shows the entry, those of validation queries first."""
    by_query = {prompt.query: prompt for prompt in prompts if row in prompt.shown and prompt.split != "test"}
    return sorted(by_query.values(), key=lambda prompt: (prompt.split != "val", prompt.query))[:most]


def _scores_without(parts: Parts, worth: BankWorth, pairs: Sequence[tuple[int, AskedPrompt]]) -> list[float | None]:
    tasks = {split: replace(parts.tasks(split), pools=None) for split in _splits(pairs)}
    places = {split: {query.id: place for place, query in enumerate(some.queries)} for split, some in tasks.items()}
    requests = []
    for row, prompt in pairs:
        left = tuple(one for one in prompt.shown if one != row)
        requests.append(tasks[prompt.split].request(places[prompt.split][prompt.query], left))
    completions = parts.ask(requests, LEAVE_ONE_OUT)
    scores: list[float | None] = []
    for (_, prompt), completion in zip(pairs, completions, strict=True):
        some, place = tasks[prompt.split], places[prompt.split][prompt.query]
        text = some.prediction(place, completion)
        scores.append(None if text is None else some.score(place, text))
    parts.sync()
    return scores


def _splits(pairs: Sequence[tuple[int, AskedPrompt]]) -> Mapping[Split, None]:
    return dict.fromkeys(prompt.split for _, prompt in pairs)
