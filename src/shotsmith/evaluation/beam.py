"""The sequences that beam search finds when it may look at the query's own true answer: a bound, not a competitor."""

from __future__ import annotations

from collections.abc import Iterable

from shotsmith.evaluation.evaluate import result_of
from shotsmith.evaluation.results import Result
from shotsmith.progress import Progress
from shotsmith.recipe import BeamSettings
from shotsmith.records import Failure
from shotsmith.selectors.beam_search import BeamResult, beam_search
from shotsmith.selectors.protocol import Ask, Tasks

BEAM = "beam"


def evaluate_beam(
    tasks: Tasks,
    shots: Iterable[int],
    width: int,
    ask: Ask,
    *,
    origin: str = "evaluation",
    progress: Progress | None = None,
) -> list[Result]:
    """Results of the sequences with the highest InfoScore, by shots and then by query.

    Supervised training imitates such sequences: this is how well they do where nothing has to be guessed. The search
    costs about pool size x shots x width VLM calls a query. A query that it could not score is a failure.
    """
    wanted = sorted(set(shots))
    settings = BeamSettings(queries=len(tasks.queries), width=width, shots=wanted[-1])
    found = beam_search(tasks, range(len(tasks.queries)), settings, ask, origin=origin, progress=progress)
    best = [
        (number, result.query, result.steps[number - 1][0].sequence if len(result.steps) >= number else None)
        for number in wanted
        for result in found
    ]
    scored = [(row, sequence) for _, row, sequence in best if sequence is not None]
    requests = [tasks.request(row, sequence) for row, sequence in scored]
    completions = dict(zip(scored, ask(requests, origin), strict=True))
    return [
        result_of(tasks, row, (), _unscored(found[row]), BEAM, number)
        if sequence is None
        else result_of(tasks, row, sequence, completions[row, sequence], BEAM, number)
        for number, row, sequence in best
    ]


def _unscored(result: BeamResult) -> Failure:
    reason = result.failures[0].reason if result.failures else "the pool holds too few candidates"
    return Failure(f"beam search could not score it: {reason}")
