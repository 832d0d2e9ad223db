"""The parts of an experiment, each built when it is first needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from transformers.utils import logging as transformers_logging

from shotsmith.completions.collect import Collector
from shotsmith.completions.prompts import PromptLog
from shotsmith.completions.store import Store
from shotsmith.completions.summary import failed_prompts
from shotsmith.data.answers import check_answers
from shotsmith.data.barring import Barred, BarringIndex
from shotsmith.data.load import load_splits
from shotsmith.data.sizes import check_sizes, fewest_left
from shotsmith.data.splits import Splits, choose_queries
from shotsmith.data.twins import twin_rows
from shotsmith.data.world import check_world, make_world
from shotsmith.embeddings.cached import embed_examples
from shotsmith.embeddings.embedded import Embedded, Encoder, Floats
from shotsmith.embeddings.load import load_encoder
from shotsmith.embeddings.on_cluster import on_cluster
from shotsmith.embeddings.pools import load_or_draw
from shotsmith.errors import InputError, TrainingError, VLMError
from shotsmith.evaluation.controls import check_controls
from shotsmith.experiment.fitting import check_context, check_queries
from shotsmith.experiment.paid import check_paid, note_paid
from shotsmith.metrics.measure import measure_of
from shotsmith.policies.inputs import InputsTable
from shotsmith.progress import Progress
from shotsmith.recipe import PoolSettings, Recipe, VLMSettings
from shotsmith.records import Completion, Failure, Request
from shotsmith.runs import SPLITS, Run, Split
from shotsmith.selectors.protocol import Tasks
from shotsmith.vlms.load import load_vlm
from shotsmith.vlms.pretrained.lengths import load_budget, load_lengths
from shotsmith.vlms.prompting.acceptance import objection
from shotsmith.vlms.prompting.budget import PromptBudget
from shotsmith.vlms.protocol import VLM, Bounded
from shotsmith.vlms.work import Counting, Work

_MANY = 0.2
"""Share of failed prompts from which on they are taken to be the reason for an error."""


class Parts:
    """Data, embeddings, pools, store and VLM of one run. Use it in a `with` statement: it owns the store."""

    def __init__(self, recipe: Recipe, run: Run, progress: Progress) -> None:
        self.recipe = recipe
        self.run = run
        self.progress = progress
        self.requests = 0
        """Requests made so far, answered by the store or by the VLM."""
        self._store: Store | None = None
        self._prompts: PromptLog | None = None
        self._work = Work()
        self._tasks: dict[Split, Tasks] = {}

    def __enter__(self) -> Parts:
        transformers_logging.disable_progress_bar()  # it would draw over our own
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._store is not None:
            self._store.close()
        if self._prompts is not None:
            self._prompts.close()

    def make_data(self) -> None:
        """Write the built-in data set, where the recipe asks for one and it is not there; check it where it is.

        Raises DataError where a file of it has changed.
        """
        if self.recipe.data.world is not None:
            make_world(self.run.world, self.recipe.data.world, self.progress)
            check_world(self.run.world)

    @cached_property
    def splits(self) -> Splits:
        """All examples; checked to share neither queries nor images, and to be as many as the recipe asks for."""
        return self._loaded[0]

    @cached_property
    def barred(self) -> Mapping[Split, Barred]:
        """What each query of a split must not be shown."""
        splits, barred, _ = self._loaded
        threshold = self.recipe.data.bar_similarity
        if threshold is None:
            return barred
        bank = _compared(self.embeddings["bank"])
        similar: dict[Split, Barred] = {}
        for split in SPLITS:
            queries = self.embeddings[split].rows(np.asarray(self.query_rows(split), dtype=np.int64))
            similar[split] = barred[split].with_similar(_compared(queries), bank, threshold)
        check_sizes(self.recipe, splits, similar.values())
        return similar

    @cached_property
    def twins(self) -> Mapping[str, frozenset[int]]:
        """By split, the examples that are no queries because a later split has the same picture under another name.

        Runs made before this was looked for go on with the queries they have.
        """
        return self._loaded[2]

    @cached_property
    def encoder(self) -> Encoder:
        """The frozen encoder of images and texts."""
        return on_cluster(load_encoder(self.recipe.encoder), self.recipe.encoder)

    @cached_property
    def embeddings(self) -> dict[str, Embedded]:
        """Image and question embeddings of every example, by split, and of the bank."""
        named = self.splits.named()
        text_only = not any(example.images for part in named.values() for example in part)
        averaged = self.recipe.encoder.joined == "mean"
        fixed = self.run.image_ids == "place" and self.run.is_done("embed")  # its splits depend on where the data lie
        if self.splits.own_bank is not None:
            named = named | {"bank": self.splits.own_bank}
        embedded = {
            split: replace(
                embed_examples(
                    examples,
                    self.encoder,
                    self.run.embeddings(split),
                    self.progress,
                    text_only=text_only,
                    fixed=fixed,
                ),
                averaged=averaged,
            )
            for split, examples in named.items()
        }
        return {"bank": embedded["train"]} | embedded

    @cached_property
    def budget(self) -> PromptBudget | None:
        """What prompts must fit into; None where the recipe sets no bound."""
        return load_budget(self.recipe.vlm)

    def query_rows(self, split: Split) -> tuple[int, ...]:
        """Which examples of a split are its queries, in their order."""
        return self._query_rows(self.splits, split, self.twins)

    @cached_property
    def pool_settings(self) -> PoolSettings | None:
        """The recipe's pools, at most as large as the bank allows; None where queries choose from the whole bank."""
        pools = self.recipe.pools
        if pools is None:
            return None
        return pools.model_copy(update={"size": min(pools.size, fewest_left(self.splits, self.barred.values()))})

    def tasks(self, split: Split) -> Tasks:
        """The queries of a split with their pools of training examples."""
        if split not in self._tasks:
            self._tasks[split] = self._draw_tasks(split)
        return self._tasks[split]

    def inputs(self, split: Split) -> InputsTable:
        """The same as a policy sees it."""
        tasks = self.tasks(split)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        embedded = tasks.query_embeddings.table, tasks.index_embeddings.table
        return InputsTable(*embedded, tasks.pools, device, tasks.barred)

    @cached_property
    def collector(self) -> Collector:
        """Asks the store first, then the VLM. Raises StoreError where the store has lost completions of this run."""
        file = self.recipe.store or self.run.completions
        self._store = Store.open(file)
        check_paid(self.run.folder, file, self._store.count(self._paid_by("")))
        vlm = load_vlm(_with_vision_cache(self.recipe.vlm, file.with_suffix(".vision")))
        self._check_prompts(vlm)
        if isinstance(vlm, Counting):
            self._work = vlm.work
        self._prompts = PromptLog(self.run.prompts)
        return Collector(self._store, vlm, self.progress, self._prompts)

    def work(self) -> Work:
        """What a VLM in this process has done so far; nothing where there is none."""
        return replace(self._work)

    def shortened(self) -> Counter[str]:
        """How many prompts, demonstrations chosen, left out and shown without images the budget has seen so far."""
        return Counter({} if self.budget is None else self.budget.counts)

    def ask(self, requests: list[Request], origin: str) -> list[Completion | Failure]:
        """Completions in the order of the requests."""
        completions = self.collector.ask(requests, self._paid_by(origin))
        self.requests += len(requests)
        return completions

    def sync(self) -> None:
        """Wait until the disk has every completion, and note their number: what is written next may rest on them."""
        if self._store is not None:
            self._store.sync()
            note_paid(self.run.folder, self._store.count(self._paid_by("")))

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Where too few answers are the reason for an error, say so in its place: prompts failed, and why."""
        try:
            yield
        except (InputError, TrainingError) as error:
            failed = None if self._store is None else failed_prompts(self._store, self._paid_by(""))
            if failed is None or failed.share < _MANY:
                raise
            raise VLMError(f"{failed}; so {error}") from error

    def calls(self, origin: str) -> int:
        """VLM calls first paid for by this origin (a prefix) of this run."""
        return self.collector.store.count(self._paid_by(origin))

    def _paid_by(self, origin: str) -> str:
        """In a shared store every run pays under its own name."""
        return f"{self.recipe.name}:{origin}" if self.recipe.store else origin

    @cached_property
    def _loaded(self) -> tuple[Splits, Mapping[Split, Barred], Mapping[str, frozenset[int]]]:
        """The examples, what each query must not be shown by id, image and content, and the twins."""
        self.make_data()
        ids = self.run.image_ids
        splits = load_splits(
            self.recipe.data,
            self.run.world,
            skipped=self.run.skipped,
            image_ids=ids,
            objection=None if self.run.is_done("data") else objection(self.recipe.vlm),
        )
        twins = twin_rows(splits.named()) if ids == "content" else {}
        bank = BarringIndex(splits.bank)
        barred: dict[Split, Barred] = {}
        for split in SPLITS:
            examples = splits.named()[split]
            barred[split] = bank.barred(examples[row] for row in self._query_rows(splits, split, twins))
        check_sizes(self.recipe, splits, barred.values())
        check_answers(self.recipe, splits)
        check_controls(self.recipe.evaluation.controls, splits.test)
        return splits, barred, twins

    def _query_rows(self, splits: Splits, split: Split, twins: Mapping[str, frozenset[int]]) -> tuple[int, ...]:
        data = self.recipe.data
        counts: dict[Split, int] = {"train": data.train_queries, "val": data.val_queries, "test": data.test_queries}
        balance = data.balance_train_queries and split == "train"
        return choose_queries(splits.named()[split], counts[split], data.seed, balance, twins.get(split, ()))

    def _check_prompts(self, vlm: VLM) -> None:
        """Raise DataError or InputError where prompts do not fit into their budget or the VLM's context."""
        queries = [self.splits.named()[split][row] for split in SPLITS for row in self.query_rows(split)]
        budget, settings = self.budget, self.recipe.vlm
        if budget is not None:
            check_queries(queries, budget)
        length: Callable[[Request], int] = vlm.length
        most = vlm.most_tokens if isinstance(vlm, Bounded) else None
        if not vlm.counts_tokens and settings.token_counter is not None:
            length = lengths = load_lengths(settings)
            most = lengths.most_tokens
        if most is not None:
            shots = min(self.recipe.longest, len(self.splits.bank))
            check_context(queries, self.splits.bank, shots, length, most, budget)

    def _draw_tasks(self, split: Split) -> Tasks:
        examples, rows = self.splits.named()[split], self.query_rows(split)
        queries = [examples[row] for row in rows]
        embedded = self.embeddings[split].rows(np.asarray(rows, dtype=np.int64))
        bank, bank_embedded = self.splits.bank, self.embeddings["bank"]
        measure = measure_of(self.recipe.data.metric, (example.answers for example in examples))
        pools, barred = None, self.barred[split].rows
        if (settings := self.pool_settings) is not None:
            file = self.run.pools(split)
            pools = load_or_draw(file, settings, queries, bank, embedded, bank_embedded, barred=barred)
        return Tasks(tuple(queries), bank, pools, embedded, bank_embedded, measure, barred, self.budget)


def _compared(embedded: Embedded) -> Floats:
    """What tells whether two examples show nearly the same: images, or texts where the data have no images."""
    return embedded.images if embedded.has_images else embedded.questions


def _with_vision_cache(settings: VLMSettings, folder: Path) -> VLMSettings:
    """The settings with a folder for vision features, where they name none."""
    if settings.vision_cache.folder is not None:
        return settings
    return settings.model_copy(update={"vision_cache": settings.vision_cache.model_copy(update={"folder": folder})})
