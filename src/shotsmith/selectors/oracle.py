"""The best sequence that a search finds when it may look at the answers: a bound on what any selector can reach.

It sees the query's answers and asks the VLM about many sequences of every query, so it is no selector one could use:
it says how much there is to win. Single candidates are tried in order of similarity to the query; longer sequences
extend the best shorter ones, at both ends, by the candidates that were best alone. A query is done as soon as a
sequence earns the highest accuracy any answer can have; the maximum is then exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as ManyOf
from dataclasses import dataclass, field

from shotsmith.progress import Progress, Silent
from shotsmith.recipe.evaluation import ORACLE_NEAREST
from shotsmith.records import Failure, Request, Sequence
from shotsmith.selectors.protocol import Ask, Tasks
from shotsmith.selectors.similar import by_both, nearest

NEAREST = ORACLE_NEAREST
"""Entries of a whole bank that are tried for a query: the most similar ones."""
_ROUND = 16
"""Sequences of one query asked together, before looking whether it is done."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A sequence that was tried."""

    sequence: Sequence
    text: str
    accuracy: float
    """By the leading metric of the data (official VQA accuracy: 0 to 1)."""
    log_prob: float = -math.inf
    """Of the most common true answer, where it was asked for; ranks sequences of equal accuracy."""


@dataclass(frozen=True, slots=True)
class OracleResult:
    """The best found for one query (a row of the tasks) at one number of shots."""

    query: int
    shots: int
    best: Trial | None
    """None where not one completion could be had."""
    tries: int
    """Different sequences tried, those already tried by others included."""
    exact: bool
    """Nothing better exists: the highest possible accuracy is reached, or every sequence was tried."""
    failures: int
    """Sequences whose completion failed."""
    trials: tuple[Trial, ...] = ()
    """Everything that was tried, by others too."""


AlreadyTried = Mapping[tuple[int, int], ManyOf[Trial]]
"""(query, shots) -> what other selectors have shown that query at that number of shots."""


def oracle(
    tasks: Tasks,
    shots: Iterable[int],
    tries: int,
    ask: Ask,
    already_tried: AlreadyTried,
    *,
    among: int = NEAREST,
    log_probs: bool = True,
    origin: str = "evaluation",
    progress: Progress | None = None,
) -> list[OracleResult]:
    """Search every query at every number of shots: results by shots, then by query.

    At least `tries` sequences of each query and number of shots are asked for (fewer only where it is done, or where
    there are no more), besides those in `already_tried`, which count as found: no selector in there can be better.
    Of a whole bank only the `among` most similar entries are tried, besides what others have tried.
    Without `log_probs` (some VLMs give none) sequences of equal accuracy rank in the order in which they were tried.
    """
    wanted = sorted(set(shots))
    depths = range(1, max(wanted, default=0) + 1)
    singles: list[_Search] = []
    searches: list[_Search] = []
    results = []
    size = among if tasks.pools is None else tasks.pools.shape[1]
    candidates: list[list[int]] = [positions.tolist() for positions in nearest(tasks, by_both, size)]
    with (progress or Silent()).task("oracle", len(depths) * len(tasks.queries), "query") as advance:
        for depth in depths:
            shorter = searches
            searches = [
                _Search.begin(tasks, row, already_tried.get((row, depth), ())) for row in range(len(tasks.queries))
            ]
            singles = singles or searches
            for search in searches:
                search.proposals = _proposals(candidates[search.row], search.row, depth, shorter, singles)
            _run(searches, tasks, tries, log_probs, ask, origin)
            advance(len(searches))
            if depth in wanted:
                results += [search.result(len(candidates[search.row]), depth) for search in searches]
    return results


@dataclass(slots=True)
class _Search:
    """How far the search of one query at one number of shots is."""

    row: int
    ceiling: float
    trials: dict[Sequence, Trial]
    proposals: Iterator[Sequence] = field(default_factory=lambda: iter(()))
    asked: set[Sequence] = field(default_factory=set)
    failures: int = 0

    @classmethod
    def begin(cls, tasks: Tasks, row: int, already_tried: ManyOf[Trial]) -> _Search:
        """A search that knows what others have tried."""
        ceiling = tasks.measure.highest(tasks.queries[row].answers)
        return cls(row, ceiling, {trial.sequence: trial for trial in already_tried})

    @property
    def best(self) -> Trial | None:
        """The highest accuracy; the first tried among equals."""
        return max(self.trials.values(), key=lambda trial: trial.accuracy, default=None)

    @property
    def done(self) -> bool:
        """No answer can earn more."""
        best = self.best
        return best is not None and best.accuracy >= self.ceiling

    def take(self, count: int) -> list[Sequence]:
        """The next `count` proposals that were not asked before."""
        taken: list[Sequence] = []
        while len(taken) < count and (proposal := next(self.proposals, None)) is not None:
            if proposal not in self.asked:
                self.asked.add(proposal)
                taken.append(proposal)
        return taken

    def ranked(self, length: int) -> list[Sequence]:
        """What was tried, of this length, best first."""
        trials = [trial for trial in self.trials.values() if len(trial.sequence) == length]
        return [t.sequence for t in sorted(trials, key=lambda t: (-t.accuracy, -t.log_prob))]

    def result(self, candidates: int, shots: int) -> OracleResult:
        """What the search among so many candidates has found."""
        tried = [sequence for sequence in self.trials if len(sequence) == shots]
        everything = len(tried) >= math.perm(candidates, shots)
        trials = tuple(self.trials.values())
        return OracleResult(self.row, shots, self.best, len(trials), self.done or everything, self.failures, trials)


def _run(searches: list[_Search], tasks: Tasks, tries: int, log_probs: bool, ask: Ask, origin: str) -> None:
    """Rounds over all queries that are not done: a few proposals each, all asked in one call."""
    for start in range(0, tries, _ROUND):
        count = min(_ROUND, tries - start)
        pairs = [(search, sequence) for search in searches if not search.done for sequence in search.take(count)]
        if not pairs:
            return
        requests = [_request(tasks, search.row, sequence, log_probs) for search, sequence in pairs]
        for (search, sequence), completion in zip(pairs, ask(requests, origin), strict=True):
            prediction = tasks.prediction(search.row, completion)
            if isinstance(completion, Failure) or prediction is None:
                search.failures += 1
                continue
            log_prob = completion.log_probs.get(tasks.queries[search.row].answer, -math.inf)
            accuracy = tasks.score(search.row, prediction)
            search.trials[sequence] = Trial(sequence, prediction, accuracy, log_prob)


def _proposals(
    similar: ManyOf[int], row: int, depth: int, shorter: ManyOf[_Search], singles: ManyOf[_Search]
) -> Iterator[Sequence]:
    if depth == 1:
        return ((position,) for position in similar)
    best_alone = [position for (position,) in singles[row].ranked(1)]
    positions = list(dict.fromkeys([*best_alone, *similar]))
    return _extensions(shorter[row].ranked(depth - 1), positions)


def _extensions(bases: ManyOf[Sequence], positions: ManyOf[int]) -> Iterator[Sequence]:
    """Every base with every other position at either end; those with the lowest sum of both ranks first."""
    for ranks in range(len(bases) + len(positions) - 1):
        for rank in range(max(0, ranks - len(positions) + 1), min(ranks, len(bases) - 1) + 1):
            base, position = bases[rank], positions[ranks - rank]
            if position not in base:
                yield (*base, position)
                yield (position, *base)


def _request(tasks: Tasks, row: int, sequence: Sequence, log_probs: bool) -> Request:
    return tasks.request(row, sequence, answers=(tasks.queries[row].answer,) if log_probs else ())
