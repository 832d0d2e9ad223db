"""Whether training is worth it: what free selectors reach on validation queries, and what the oracle shows possible.

No policy is trained and no test query is touched. The oracle knows the answers, so that no selector can be expected to
reach it: the gap above the best free selector is the most that training could win, and a small one means that it
cannot pay.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as ManyOf
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from shotsmith.errors import InputError, ShotsmithError
from shotsmith.evaluation.accuracies import accuracies
from shotsmith.evaluation.evaluate import ORACLE, evaluate_oracle
from shotsmith.evaluation.free import WORTH, BestFree, best_free, evaluate_free
from shotsmith.evaluation.majority_vote import MAJORITY_VOTE
from shotsmith.evaluation.results import Result
from shotsmith.evaluation.summary import validation_rows
from shotsmith.evaluation.unresponsive import sole_answer
from shotsmith.experiment.parts import Parts
from shotsmith.recipe import EvaluationSettings
from shotsmith.selectors.fixed import choose_fixed
from shotsmith.selectors.protocol import Tasks
from shotsmith.statistics import paired_difference

TRIES = 64
"""Sequences the oracle tries where the recipe leaves it out."""
ORIGIN = "headroom"

Verdict = Literal["worth", "not_worth", "unclear", "nothing_right", "same_answer"]


@dataclass(frozen=True, slots=True)
class Headroom:
    """What `headroom` found. Accuracies and gaps in percent of the leading metric."""

    queries: int
    shots: tuple[int, ...]
    rows: tuple[Mapping[str, Any], ...]
    """One per selector and number of shots, in the form of `test` of `shotsmith show`."""
    best: BestFree
    gaps: tuple[Mapping[str, Any], ...]
    """Oracle minus the best free selector, with its interval, by number of shots, 'mean' last."""
    verdict: Verdict
    sole_answer: str | None
    """The answer that the VLM gave to every query, where it gave no other."""
    requests: int
    """Completions needed, from the store or from the VLM."""

    @property
    def gap(self) -> Mapping[str, Any]:
        """On the mean over the numbers of shots."""
        return self.gaps[-1]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "queries": self.queries,
            "shots": list(self.shots),
            "val": [dict(row) for row in self.rows],
            "best_free": self.best.to_json(),
            "gap": dict(self.gap),
            "gaps": [dict(gap) for gap in self.gaps],
            "verdict": self.verdict,
            "sole_answer": self.sole_answer,
            "requests": self.requests,
        }


def headroom(parts: Parts, queries: int) -> Headroom:
    """Evaluate every free selector over the whole bank, and the oracle, on the first `queries` validation queries.

    Raises InputError where the recipe has no VLM to ask, ShotsmithError where every completion failed.
    """
    if parts.recipe.rollouts.imported is not None:
        raise InputError("the rollouts are imported: there is no VLM to ask", field="rollouts.imported")
    before, settings = parts.requests, parts.recipe.evaluation
    tasks = first_queries(replace(parts.tasks("val"), pools=None), queries)
    fixed = None
    if settings.fixed_tries:
        fixed = choose_fixed(tasks, settings.shots, parts.ask, tries=settings.fixed_tries, origin=ORIGIN)
    free = evaluate_free(tasks, settings, fixed, parts.ask, origin=ORIGIN)
    bound = evaluate_oracle(
        tasks,
        [result for result in free if result.selector != MAJORITY_VOTE],
        settings.shots,
        settings.oracle_tries or TRIES,
        parts.ask,
        log_probs=parts.collector.vlm.gives_log_probs,
        origin=ORIGIN,
        progress=parts.progress,
    )
    best = best_free(free)
    if best is None:
        raise ShotsmithError("every completion failed: nothing can be said")
    gaps = _gaps([*free, *bound], best, settings)
    return Headroom(
        queries=len(tasks.queries),
        shots=tuple(sorted(settings.shots)),
        rows=tuple(validation_rows([*free, *bound], settings)),
        best=best,
        gaps=tuple(gaps),
        verdict=verdict(gaps[-1], [*free, *bound], best),
        sole_answer=sole_answer([*free, *bound]),
        requests=parts.requests - before,
    )


def first_queries(tasks: Tasks, count: int) -> Tasks:
    """The tasks of the first `count` queries."""
    return replace(
        tasks,
        queries=tasks.queries[:count],
        pools=None if tasks.pools is None else tasks.pools[:count],
        query_embeddings=tasks.query_embeddings.rows(np.arange(min(count, len(tasks.queries)))),
        barred=tasks.barred[:count],
    )


def verdict(gap: Mapping[str, Any], results: ManyOf[Result], best: BestFree) -> Verdict:
    """Worth it where the whole interval of the gap reaches WORTH, not where none of it does.

    Nothing can be said of selectors where no answer is right, or all are the same.
    """
    if not any(result.value(best.metric) for result in results):
        return "nothing_right"
    if sole_answer(results) is not None:
        return "same_answer"
    if gap["low"] >= WORTH:
        return "worth"
    return "not_worth" if gap["high"] < WORTH else "unclear"


def _gaps(results: ManyOf[Result], best: BestFree, settings: EvaluationSettings) -> list[dict[str, Any]]:
    table = accuracies(results, best.metric)
    rows = []
    for shots in table.by_selector[ORACLE]:
        upper, lower = table.scored((ORACLE, shots), (best.selector, shots))
        if upper.shape[1] < 2:
            raise ShotsmithError("fewer than two queries have answers: nothing can be said")
        found = paired_difference(upper, lower, resamples=settings.resamples)
        kept = {key: value for key, value in asdict(found).items() if key in ("difference", "low", "high", "n")}
        rows.append({"shots": shots, **kept})
    return rows
