"""A small evaluation before the plan: how often selectors agree, and how many queries are left to the oracle.

Both depend on VLM and data, and the oracle is half of what an evaluation asks for. So every training-free
selector answers some of the validation queries, and the oracle searches them, as the run will do with the test queries,
which a plan never looks at. Only what trained policies add is then still unknown.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from transformers.utils import logging as transformers_logging

from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.data.barring import barred_rows
from shotsmith.data.splits import Splits, choose_queries
from shotsmith.embeddings.cached import embed_examples
from shotsmith.embeddings.load import load_encoder
from shotsmith.embeddings.nearest import Rows
from shotsmith.embeddings.pools import draw_pools
from shotsmith.errors import InputError, VLMError
from shotsmith.evaluation.evaluate import evaluate_oracle
from shotsmith.evaluation.free import evaluate_free
from shotsmith.evaluation.majority_vote import MAJORITY_VOTE
from shotsmith.metrics.measure import measure_of
from shotsmith.planning.behaviour import USUAL, Behaviour
from shotsmith.planning.draws import drawn_alike
from shotsmith.planning.evaluation import ROUND, by_similarity, oracle_tries
from shotsmith.planning.sizes import readable_splits
from shotsmith.planning.speed import Speeds, given
from shotsmith.planning.training import Setting, steps_of
from shotsmith.progress import Progress
from shotsmith.recipe import Recipe
from shotsmith.records import Completion, Failure, Request
from shotsmith.selectors.fixed import choose_fixed
from shotsmith.selectors.named import AT_BANK
from shotsmith.selectors.protocol import Tasks
from shotsmith.selectors.training_free import TRAINING_FREE
from shotsmith.vlms.load import load_vlm
from shotsmith.vlms.pretrained.lengths import load_budget
from shotsmith.vlms.protocol import VLM

logger = logging.getLogger(__name__)

_BANK = 20_000
"""Entries of a larger bank that the pilot chooses from: embedding all would take long."""

_SLOWER = 3.0
"""How much longer policies take to solve more queries than to lose the signal of those they are trained on."""

Shares = tuple[float, float]
"""Of the queries: those that the oracle has to ask about, and those left (on average) after its first round."""


@dataclass(frozen=True, slots=True)
class Pilot:
    """What a small evaluation has shown."""

    queries: int
    similar_agree: float | None
    """None where there are not several similar selectors."""
    unsolved: Shares | None
    """With one demonstration; None where the oracle does not try that number after selectors have."""
    unsolved_longer: Shares | None
    """With several."""
    prompts: int
    seconds: float
    """What the VLM took for them."""
    tokens: int | None
    """None where the VLM does not count them."""

    def behaviour(self, recipe: Recipe) -> Behaviour:
        """What was seen in the place of what is usual.

        The policies of many steps solve some of what is left, those of more seeds more. With one demonstration they
        solve fewer, and what they solve is mostly what the oracle finds in its first round.
        """
        solved = 1 - USUAL.settled(USUAL.policies_leave, steps_of(recipe) / _SLOWER) ** ((1 + len(recipe.seeds)) / 2)
        known: dict[str, Any] = {}
        for name, shares, solve in (
            ("unsolved", self.unsolved, (0.4 * solved, 0.0)),
            ("unsolved_longer", self.unsolved_longer, (solved, 0.5 * solved)),
        ):
            if shares is not None:
                known[name] = tuple(share * (1 - some) for share, some in zip(shares, solve, strict=True))
                known["unsolved_in_similar"] = 1.0  # it has seen the recipe's own candidates
        if self.similar_agree is not None:
            known["similar_agree"] = self.similar_agree
        return replace(USUAL, **known)

    def speeds(self) -> Speeds | None:
        """How fast the VLM was, by tokens where it counts them, else by prompts."""
        if self.tokens is None:
            return given(self.prompts / self.seconds, None)
        return given(None, self.tokens / self.seconds)


def run_pilot(recipe: Recipe, queries: int, progress: Progress) -> Pilot:
    """Evaluate so many of the recipe's validation queries (or all, where it has fewer) by all that needs no training.

    Raises InputError where there are none, VLMError where not one prompt could be answered, and what loading data,
    encoder and VLM raises.
    """
    wanted = min(queries, recipe.data.val_queries)
    if wanted < 1:
        raise InputError("there are no validation queries to look at", field="data.val_queries")
    transformers_logging.disable_progress_bar()  # it would draw over our own
    settings = recipe.evaluation
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        splits = stack.enter_context(readable_splits(recipe, whole=True))
        store = stack.enter_context(Store.open(folder / "completions.sqlite"))
        tasks = _tasks(recipe, splits, wanted, folder, progress)
        asked = _Asked(Collector(store, load_vlm(recipe.vlm), progress))
        tries, shown_to = settings.fixed_tries, settings.fixed_queries
        fixed = choose_fixed(tasks, settings.shots, asked.ask, tries=tries, queries=shown_to) if tries else None
        results = [
            result
            for result in evaluate_free(tasks, settings, fixed, asked.ask)
            if not result.selector.startswith(MAJORITY_VOTE)
        ]
        asked.calls.clear()
        if settings.oracle_tries:
            evaluate_oracle(
                tasks,
                [result for result in results if not result.selector.endswith(AT_BANK)],
                settings.shots,
                settings.oracle_tries,
                asked.ask,
                among=settings.oracle_nearest,
                log_probs=asked.vlm.gives_log_probs,
                progress=progress,
            )
        shares = _shares(Setting(recipe, USUAL, len(tasks.index)), asked.calls, len(tasks.queries))
    if results and all(result.failure is not None for result in results):
        raise VLMError(f"none of {len(results)} prompts could be answered: {results[0].failure}")
    longer = [pair for shots, pair in shares.items() if shots > 1]
    return Pilot(
        queries=len(tasks.queries),
        similar_agree=_similar_agree(tasks, min(settings.shots)),
        unsolved=shares.get(1),
        unsolved_longer=(fmean(one for one, _ in longer), fmean(two for _, two in longer)) if longer else None,
        prompts=asked.prompts,
        seconds=asked.seconds,
        tokens=asked.tokens if asked.vlm.counts_tokens else None,
    )


class _Asked:
    """Asks, and remembers what for and how long it took."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self.calls: list[Sequence[Request]] = []
        self.prompts = 0
        self.seconds = 0.0
        self.tokens = 0

    @property
    def vlm(self) -> VLM:
        return self._collector.vlm

    def ask(self, requests: list[Request], origin: str) -> list[Completion | Failure]:
        """As the collector answers."""
        started = time.perf_counter()
        answers = self._collector.ask(requests, origin)
        self.seconds += time.perf_counter() - started
        self.calls.append(requests)
        self.prompts += len(requests)
        self.tokens += sum(map(self.vlm.length, requests))
        return answers


def _tasks(recipe: Recipe, splits: Splits, count: int, folder: Path, progress: Progress) -> Tasks:
    """The first of the recipe's validation queries, and the bank: with pools where the recipe has some."""
    rows = choose_queries(splits.val, recipe.data.val_queries, recipe.data.seed)
    queries = tuple(splits.val[row] for row in rows[:count])
    bank = tuple(splits.bank[row] for row in _some(len(splits.bank)))
    if len(bank) < len(splits.bank):
        logger.info("the pilot chooses from %d of the %d entries of the bank", len(bank), len(splits.bank))
    encoder = load_encoder(recipe.encoder)
    text_only = not any(example.images for example in (*queries, *bank))
    embedded, bank_embedded = (
        replace(
            embed_examples(part, encoder, folder / f"{name}.safetensors", progress, text_only=text_only),
            averaged=recipe.encoder.joined == "mean",
        )
        for name, part in (("queries", queries), ("bank", bank))
    )
    barred = barred_rows(queries, bank)
    pools = None
    if recipe.pools is not None:
        size = min(recipe.pools.size, len(bank) - max(map(len, barred)))
        settings = recipe.pools.model_copy(update={"size": size})
        pools = draw_pools(settings, queries, bank, embedded, bank_embedded, barred=barred)
    measure = measure_of(recipe.data.metric, (example.answers for example in splits.val))
    return Tasks(queries, bank, pools, embedded, bank_embedded, measure, barred, load_budget(recipe.vlm))


def _some(examples: int) -> Rows:
    """Rows of the entries of a bank: all, or as many as there is time to embed."""
    return np.sort(np.random.default_rng(0).permutation(examples)[:_BANK])


def _similar_agree(tasks: Tasks, shots: int) -> float | None:
    """The chance with which two similar selectors choose one demonstration alike that gives as many different
    sequences as they have chosen."""
    names = by_similarity(has_images=tasks.index_embeddings.has_images)
    if len(names) < 2:
        return None
    similar = [TRAINING_FREE[name]().select(tasks, shots) for name in names]
    different = fmean(len(set(chosen)) for chosen in zip(*similar, strict=True))
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if drawn_alike(len(similar), middle**shots) > different else (low, middle)
    return low


def _shares(setting: Setting, calls: Sequence[Sequence[Request]], queries: int) -> dict[int, Shares]:
    """By number of shots, of those that selectors have tried before."""
    settings = setting.recipe.evaluation
    if not settings.oracle_tries:
        return {}
    asked: defaultdict[int, list[int]] = defaultdict(list)
    for requests in calls:
        asked[len(requests[0].demonstrations)].append(len(requests))
    shares = {}
    for shots in sorted(set(settings.shots)):
        tries = oracle_tries(setting, shots)
        rounds = asked[shots] or [0]
        first, later = rounds[0] / min(ROUND, tries), sum(rounds[1:]) / max(1, tries - ROUND)
        shares[shots] = (first / queries, later / queries)
    return shares
