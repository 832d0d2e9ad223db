"""How fast the VLM is: given, measured on the spot, or taken from a finished run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.data.splits import Splits
from shotsmith.errors import InputError, VLMError
from shotsmith.metrics.measure import options_of
from shotsmith.planning.prompts import STAGES, Stage
from shotsmith.recipe import Recipe
from shotsmith.records import Failure, Request
from shotsmith.rewards import wanted_answers
from shotsmith.runs import Run
from shotsmith.vlms.load import load_vlm

_MEASURED = 48
"""Prompts that are timed."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of one device: so many for a prompt and so many for a token of it (answering it is in there)."""

    per_prompt: float = 0.0
    per_token: float = 0.0

    def seconds(self, prompts: float, tokens: float) -> float:
        """Device seconds of so many prompts that hold so many tokens in all."""
        return prompts * self.per_prompt + tokens * self.per_token


Speeds = Mapping[Stage, Speed]


def given(prompts_per_second: float | None, tokens_per_second: float | None) -> Speeds | None:
    """The speed that is told, of one device. Raises InputError where both are, or it is not above 0."""
    if prompts_per_second is not None and tokens_per_second is not None:
        raise InputError("give either prompts or tokens per second")
    for name, value in (("prompts", prompts_per_second), ("tokens", tokens_per_second)):
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"{value:g} {name} per second are no speed", field=f"--{name}-per-second")
    if prompts_per_second is not None:
        return dict.fromkeys(STAGES, Speed(per_prompt=1 / prompts_per_second))
    if tokens_per_second is not None:
        return dict.fromkeys(STAGES, Speed(per_token=1 / tokens_per_second))
    return None


def measured(recipe: Recipe, splits: Splits, shots: int) -> Speeds:
    """Time some prompts of the recipe with 0 to `shots` demonstrations on its VLM.

    They are asked twice, and the second time counts: images are computed once a run and then known. Raises VLMError
    where one cannot be answered.
    """
    vlm, rng = load_vlm(recipe.vlm), np.random.default_rng(0)
    requests, options = [], options_of(recipe.data.metric)
    for number in range(_MEASURED):
        query = splits.train[rng.integers(len(splits.train))]
        shown = tuple(splits.bank[row] for row in rng.permutation(len(splits.bank))[: number % (shots + 1)])
        wanted = dict.fromkeys((*options(query), *wanted_answers(query, recipe.reward)))
        requests.append(Request(query, shown, tuple(wanted)))
    seconds = 0.0
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "completions.sqlite") as store:
            started = time.perf_counter()
            answered = Collector(store, vlm).ask(requests, "measure")
            seconds = time.perf_counter() - started
    if failed := [one for one in answered if isinstance(one, Failure)]:
        raise VLMError(f"{len(failed)} of {len(requests)} prompts could not be answered: {failed[0].reason}")
    if not vlm.counts_tokens:
        return dict.fromkeys(STAGES, Speed(per_prompt=seconds / len(requests)))
    return dict.fromkeys(STAGES, Speed(per_token=seconds / sum(map(vlm.length, requests))))


def of_run(run: Run) -> Speeds:
    """What a finished run has taken per prompt in each stage, the training of the policy included.

    Raises InputError where it has asked for nothing yet.
    """
    took = {row["name"]: (row["seconds"], row["vlm_calls"]) for row in run.stages() if row["vlm_calls"]}
    if not took:
        raise InputError("no stage of it has asked the VLM for anything", file=run.folder)
    mean = sum(seconds for seconds, _ in took.values()) / sum(calls for _, calls in took.values())
    each = {name: seconds / calls for name, (seconds, calls) in took.items()}
    return {stage: Speed(per_prompt=each.get(stage, mean)) for stage in STAGES}
