"""What the VLM answers to a query with any demonstrations: known from the completions store, or asked of the VLM.

The run's store is only read. What the VLM is asked for is kept in a store of its own, in a temporary folder.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from shotsmith.checkpoints.native import UNKNOWN, load_manifest
from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store, request_key
from shotsmith.errors import InputError, ShotsmithError
from shotsmith.experiment.prompting import PromptSender
from shotsmith.recipe import VLMSettings
from shotsmith.records import Completion, Failure, Request
from shotsmith.runs import PHASES
from shotsmith.selectors.protocol import Tasks
from shotsmith.view.run_data import RunData
from shotsmith.vlms.load import load_vlm
from shotsmith.vlms.protocol import VLM

logger = logging.getLogger(__name__)

State = Literal["stored", "asked", "asking", "unknown", "failed"]
"""Where an answer comes from, or why there is none: `unknown` is one that the VLM has never been asked for."""
MOST_WAITING = 8
"""Questions to the VLM that may wait; further ones are refused."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a VLM answered."""

    identity: str
    """That of the VLM."""
    completion: Completion | Failure


@dataclass(frozen=True, slots=True)
class Question:
    """A query and the demonstrations that it is asked with."""

    tasks: Tasks
    """The query alone, over the whole bank."""
    sequence: tuple[int, ...]
    """Rows of the bank, in the order shown."""

    @property
    def request(self) -> Request:
        """What the VLM is asked, within the budget of the recipe's prompts."""
        return self.tasks.request(0, self.sequence)


def question(data: RunData, query: int, sequence: Sequence[int]) -> Question:
    """The question of a query and demonstrations by their ids.

    Raises InputError for an id that is not there, one that stands twice, and one that is barred from the query.
    """
    number = data.number_of(query)
    rows = []
    for one in sequence:
        if one not in data.bank_rows:
            raise InputError(f"the bank has no entry with the id {one}")
        rows.append(data.bank_rows[one])
    if len(set(rows)) < len(rows):
        raise InputError("an entry stands in the sequence twice")
    if barred := set(rows) & set(data.barred[number].tolist()):
        told = data.splits.bank[min(barred)].id
        raise InputError(
            f"entry {told} is barred from this query: it shows the query itself, its picture or a duplicate"
        )
    return Question(data.task(number), tuple(rows))


class VLMThread:
    """One thread that loads a VLM when it is first asked, and another one in its place when another is wanted."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vlm")
        self._waiting: list[Future[Answer]] = []
        self._loaded: tuple[VLMSettings, VLM] | None = None

    def ask(self, settings: VLMSettings, request: Request) -> Future[Answer]:
        """Ask the VLM of these settings. Raises InputError where too many questions wait already."""
        self._waiting = [one for one in self._waiting if not one.done()]
        if len(self._waiting) >= MOST_WAITING:
            raise InputError(f"{MOST_WAITING} questions wait for the VLM already; wait for their answers")
        future = self._thread.submit(self._answer, settings, request)
        self._waiting.append(future)
        return future

    def _answer(self, settings: VLMSettings, request: Request) -> Answer:
        vlm = self._vlm(settings)
        with (
            tempfile.TemporaryDirectory(prefix="shotsmith-view-") as folder,
            Store.open(Path(folder) / "asked.sqlite") as store,
        ):
            (completion,) = Collector(store, vlm).ask([request], "view")
        return Answer(vlm.identity, completion)

    def _vlm(self, settings: VLMSettings) -> VLM:
        if self._loaded is None or self._loaded[0] != settings:
            self._loaded = None  # two may not fit into memory
            in_memory = settings.vision_cache.model_copy(update={"folder": None})
            self._loaded = settings, load_vlm(settings.model_copy(update={"vision_cache": in_memory}))
        return self._loaded[1]


class Answerer:
    """Answers the questions of one run."""

    def __init__(self, data: RunData, thread: VLMThread) -> None:
        self.data = data
        self._thread = thread
        self._asked: dict[str, Future[Answer]] = {}
        self._lock = threading.Lock()

    @cached_property
    def sender(self) -> PromptSender:
        """Shows prompts as the VLM is sent them. Raises InputError where there is no processor."""
        return PromptSender(self.data.run.recipe.vlm)

    def prompt(self, asked: Question) -> dict[str, Any]:
        """The prompt as it is sent; see `PromptSender.shown`."""
        return self.sender.shown(asked.tasks.fitted(0, asked.sequence))

    def answer(self, asked: Question, *, ask: bool = False) -> dict[str, Any]:
        """The answer as far as it is known: its `state` and, where there is one, `text` and `value`.

        With `ask`, an answer that is not known, or failed, is asked of the VLM: its state is `asking` until it has
        answered. Raises InputError where too many questions wait already, StoreError for a damaged store.
        """
        request = asked.request
        name = request_key(request, "")
        with self._lock:
            future = self._asked.get(name)
            if future is not None and not future.done():
                return {"state": "asking"}
            if future is not None and (told := _told(asked, future))["state"] != "failed":
                return told
            if future is None and (stored := self._stored(request)) is not None:
                return _answered(asked, "stored", stored)
            if ask:
                self._asked[name] = self._thread.ask(self.data.run.recipe.vlm, request)
                return {"state": "asking"}
            return {"state": "unknown"} if future is None else told

    def _stored(self, request: Request) -> Completion | None:
        """What the run's store knows; None where it lacks a part of what is asked."""
        file = self.data.run.recipe.store or self.data.run.completions
        if self._identity is None or not file.exists():
            return None
        key = request_key(request, self._identity)
        with Store.open_to_read(file) as store:
            found = store.get_many([key]).get(key)
        if found is None or (request.text and found.text is None) or set(request.answers) - found.log_probs.keys():
            return None
        return found

    @property
    def _identity(self) -> str | None:
        """That of the VLM, from its answers or from a checkpoint; None where neither is there."""
        for future in self._asked.values():
            if future.done() and future.exception() is None:
                return future.result().identity
        return self._trained_for

    @cached_property
    def _trained_for(self) -> str | None:
        run = self.data.run
        for row in reversed(run.epochs()):
            phase = next(phase for phase in PHASES if phase == row["phase"])
            folder = run.epoch(int(row["seed"]), phase, int(row["epoch"]))
            if folder.exists():
                told = load_manifest(folder).vlm
                return None if told == UNKNOWN else told
        return None


def _told(asked: Question, future: Future[Answer]) -> dict[str, Any]:
    if (error := future.exception()) is None:
        return _answered(asked, "asked", future.result().completion)
    if not isinstance(error, ShotsmithError):
        logger.warning("the VLM could not be asked", exc_info=error)
    return {"state": "failed", "failure": str(error) or type(error).__name__}


def _answered(asked: Question, state: State, completion: Completion | Failure) -> dict[str, Any]:
    if isinstance(completion, Failure):
        return {"state": "failed", "failure": completion.reason}
    prediction = asked.tasks.prediction(0, completion)
    if prediction is None:
        return {"state": "failed", "failure": "no answer"}
    return {"state": state, "text": prediction, "value": asked.tasks.score(0, prediction)}
