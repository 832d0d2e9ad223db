"""Beam search over sequences scored by InfoScore: what supervised training learns from.

InfoScore (Li and Qiu 2023, arXiv 2302.13539): the gain of putting demonstration d after sequence s
for query q with true answer a is log p(a | q, s + d) - log p(a | q, s). The gains of a sequence sum to
log p(a | q, sequence) - log p(a | q), its score.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from shotsmith.progress import Progress, Silent
from shotsmith.recipe import BeamSettings
from shotsmith.records import Completion, Failure, Request, Sequence
from shotsmith.selectors.protocol import Ask, Tasks
from shotsmith.selectors.similar import nearest_candidates


@dataclass(frozen=True, slots=True)
class Beam:
    """A sequence that beam search kept."""

    sequence: Sequence
    score: float
    """Natural-log gain over no demonstrations."""
    gains: tuple[float, ...]
    """Gain of each demonstration over the ones before it."""


@dataclass(frozen=True, slots=True)
class Unscored:
    """A sequence whose completion failed; the search went on without it."""

    sequence: Sequence
    reason: str


@dataclass(frozen=True, slots=True)
class BeamResult:
    """What the search found for one query (a row of the tasks)."""

    query: int
    steps: tuple[tuple[Beam, ...], ...]
    """steps[t]: the best sequences of t + 1 demonstrations, best first."""
    failures: tuple[Unscored, ...] = ()

    @property
    def beams(self) -> tuple[Beam, ...]:
        """The longest sequences found, best first (empty where the query could not be scored)."""
        return self.steps[-1] if self.steps else ()


def taught(result: BeamResult, number: int, any_length: bool) -> list[Sequence]:
    """The sequences to imitate: the longest ones found, or (`any_length`) the `number` best of any length.

    Any length includes showing nothing, whose score is 0; of equals the shorter is better.
    """
    if not any_length:
        return [beam.sequence for beam in result.beams]
    found = [Beam((), 0.0, ()), *(beam for step in result.steps for beam in step)] if result.steps else []
    best = sorted(found, key=lambda beam: (-beam.score, len(beam.sequence), beam.sequence))
    return [beam.sequence for beam in best[:number]]


def beam_search(
    tasks: Tasks,
    rows: Iterable[int],
    settings: BeamSettings,
    ask: Ask,
    *,
    origin: str = "beam",
    progress: Progress | None = None,
    queries_per_call: int = 50,
) -> list[BeamResult]:
    """Search the candidates of some queries; a new demonstration is appended on the right, next to the query.

    The candidates are those of the pool, or the most similar ones of the whole bank. Every unused candidate is tried
    after each of the `width` best sequences; ties go to lower positions. The requests of one step are asked together,
    those of `queries_per_call` queries in one call.
    """
    searches = [_Search(row, sorted(nearest_candidates(tasks, row, settings.candidates))) for row in rows]
    with (progress or Silent()).task("beam search", len(searches), "query") as advance:
        for start in range(0, len(searches), queries_per_call):
            chunk = searches[start : start + queries_per_call]
            _score_zero_shot(chunk, tasks, ask, origin)
            for _ in range(settings.shots):
                _extend(chunk, tasks, settings.width, ask, origin)
            advance(len(chunk))
    return [BeamResult(search.row, tuple(search.steps), tuple(search.failures)) for search in searches]


@dataclass(slots=True)
class _Search:
    """How far the search of one query is."""

    row: int
    candidates: list[int]
    base: float = 0.0
    frontier: list[Beam] = field(default_factory=list)
    steps: list[tuple[Beam, ...]] = field(default_factory=list)
    failures: list[Unscored] = field(default_factory=list)


def _score_zero_shot(searches: list[_Search], tasks: Tasks, ask: Ask, origin: str) -> None:
    completions = ask([_request(tasks, search.row, ()) for search in searches], origin)
    for search, completion in zip(searches, completions, strict=True):
        log_prob = _log_prob(completion, tasks.queries[search.row].answer)
        if isinstance(log_prob, Failure):
            search.failures.append(Unscored((), log_prob.reason))
        else:
            search.base = log_prob
            search.frontier = [Beam((), 0.0, ())]


def _extend(searches: list[_Search], tasks: Tasks, width: int, ask: Ask, origin: str) -> None:
    tries = [
        (search, parent, position)
        for search in searches
        for parent in search.frontier
        for position in search.candidates
        if position not in parent.sequence
    ]
    requests = [_request(tasks, search.row, (*parent.sequence, position)) for search, parent, position in tries]
    found: dict[int, list[Beam]] = {search.row: [] for search in searches}
    for (search, parent, position), completion in zip(tries, ask(requests, origin), strict=True):
        sequence = (*parent.sequence, position)
        log_prob = _log_prob(completion, tasks.queries[search.row].answer)
        if isinstance(log_prob, Failure):
            search.failures.append(Unscored(sequence, log_prob.reason))
        else:
            score = log_prob - search.base
            found[search.row].append(Beam(sequence, score, (*parent.gains, score - parent.score)))
    for search in searches:
        search.frontier = sorted(found[search.row], key=lambda beam: (-beam.score, beam.sequence))[:width]
        if search.frontier:
            search.steps.append(tuple(search.frontier))


def _request(tasks: Tasks, row: int, sequence: Sequence) -> Request:
    return tasks.prompt(row, sequence, (tasks.queries[row].answer,), text=False)


def _log_prob(completion: Completion | Failure, answer: str) -> float | Failure:
    if isinstance(completion, Failure):
        return completion
    log_prob = completion.log_probs[answer]
    return log_prob if math.isfinite(log_prob) else Failure(f"the log-probability of '{answer}' is {log_prob}")
