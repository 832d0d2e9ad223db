"""The selector protocol and the batch of tasks it works on."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as ManyOf
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shotsmith.embeddings.embedded import Embedded, Floats
from shotsmith.metrics.measure import VQA, Measure
from shotsmith.records import Completion, Example, Failure, Request, Sequence
from shotsmith.vlms.prompting.budget import Fitted, PromptBudget

__all__ = ["Ask", "Embedded", "Floats", "Selector", "Tasks"]

Ask = Callable[[list[Request], str], list[Completion | Failure]]
"""Has requests answered, in order, on behalf of a stage (completions.collect.Collector.ask)."""


@dataclass(frozen=True, slots=True)
class Tasks:
    """Queries and what may be shown to them: a pool each, or the whole bank."""

    queries: tuple[Example, ...]
    index: tuple[Example, ...]
    """The bank."""
    pools: npt.NDArray[np.int64] | None
    """[number of queries, pool size]: `pools[i][p]` is the row of the bank that is candidate p of query i. None: every
    query chooses from the whole bank, and a sequence holds rows of it."""
    query_embeddings: Embedded
    index_embeddings: Embedded
    measure: Measure = VQA
    """What answers are measured by."""
    barred: ManyOf[npt.NDArray[np.int64]] = ()
    """For each query the rows of the bank that it must not be shown, ascending; pools hold none of them."""
    budget: PromptBudget | None = None
    """What prompts must fit into; None where nothing bounds them."""

    def demonstrations(self, query: int, sequence: Sequence) -> tuple[Example, ...]:
        """The examples a sequence of this query points at, in order."""
        if self.pools is None:
            return tuple(self.index[row] for row in sequence)
        return tuple(self.index[self.pools[query, position]] for position in sequence)

    def fitted(self, query: int, sequence: Sequence) -> Fitted:
        """The prompt of a sequence of this query, within the budget."""
        request = Request(self.queries[query], self.demonstrations(query, sequence))
        return Fitted(request) if self.budget is None else self.budget.fit(request)

    def prompt(self, query: int, sequence: Sequence, answers: tuple[str, ...] = (), *, text: bool = True) -> Request:
        """The prompt of a sequence of this query, and what is wanted of its completion.

        Every prompt is made here, within the budget.
        """
        fitted = self.fitted(query, sequence)
        if self.budget is not None:
            self.budget.count(fitted)
        return replace(fitted.request, answers=answers, text=text)

    def request(self, query: int, sequence: Sequence, *, answers: tuple[str, ...] = ()) -> Request:
        """What the VLM is asked about a sequence of this query: a text, or its options where they decide.

        `answers` are further ones whose log-probability is wanted.
        """
        example = self.queries[query]
        options = self.measure.options(example)
        wanted = tuple(dict.fromkeys((*options, *answers)))
        return self.prompt(query, sequence, wanted, text=not options)

    def prediction(self, query: int, completion: Completion | Failure) -> str | None:
        """What the VLM answered to a query: its text, or the likeliest option; None where it failed."""
        if isinstance(completion, Failure):
            return None
        return self.measure.prediction(self.queries[query], completion)

    def score(self, query: int, prediction: str) -> float:
        """How good a prediction is for a query: higher is better, 0 is worst."""
        return self.measure.score(prediction, self.queries[query].answers)

    def barred_from(self, query: int) -> npt.NDArray[np.int64]:
        """The rows of the bank that this query must not be shown."""
        return self.barred[query] if len(self.barred) else np.empty(0, dtype=np.int64)


class Selector(Protocol):
    """Chooses one sequence per query."""

    @property
    def name(self) -> str:
        """Its name in tables and files."""
        ...

    def select(self, tasks: Tasks, shots: int) -> list[Sequence]:
        """One sequence of at most `shots` positions for each query, in order. Sees no query's answers."""
        ...
