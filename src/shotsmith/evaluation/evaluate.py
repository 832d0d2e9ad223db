"""Every selector on the same queries, pools and numbers of shots, answered by the same VLM."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Sequence as ManyOf
from dataclasses import dataclass

from shotsmith.evaluation.results import Result, result_with
from shotsmith.progress import Progress
from shotsmith.records import Completion, Failure, Sequence
from shotsmith.selectors.oracle import NEAREST, OracleResult, Trial, oracle
from shotsmith.selectors.protocol import Ask, Selector, Tasks
from shotsmith.selectors.random import Random
from shotsmith.selectors.training_free import training_free

ORACLE = "oracle"


@dataclass(frozen=True, slots=True)
class Entrant:
    """A selector in the comparison."""

    selector: Selector
    seed: int | None = None
    """Training seed; None for what is not trained."""
    draw: int = 0
    """Which of the repeated draws of a random selector."""


def training_free_entrants(random_draws: int, *, has_images: bool = True) -> list[Entrant]:
    """Every training-free selector that means something for the data; the random one once per draw."""
    entrants = []
    for name, make in training_free(has_images=has_images).items():
        if name == "random":
            entrants += [Entrant(Random(draw=draw), draw=draw) for draw in range(random_draws)]
        else:
            entrants.append(Entrant(make()))
    return entrants


def evaluate(
    tasks: Tasks, entrants: Iterable[Entrant], shots: Iterable[int], ask: Ask, *, origin: str = "evaluation"
) -> list[Result]:
    """Results of every entrant at every number of shots, in that order, one per query.

    Each distinct prompt is asked once, all of them in one call: what several selectors chose alike, and zero-shot's
    one prompt for all numbers of shots.
    """
    choices = [
        (entrant, number, entrant.selector.select(tasks, number)) for entrant in entrants for number in sorted(shots)
    ]
    asked = dict.fromkeys((row, chosen) for _, _, sequences in choices for row, chosen in enumerate(sequences))
    requests = [tasks.request(row, chosen) for row, chosen in asked]
    completions = dict(zip(asked, ask(requests, origin), strict=True))
    return [
        result_of(
            tasks, row, chosen, completions[row, chosen], entrant.selector.name, number, entrant.seed, entrant.draw
        )
        for entrant, number, sequences in choices
        for row, chosen in enumerate(sequences)
    ]


def evaluate_oracle(
    tasks: Tasks,
    results: ManyOf[Result],
    shots: Iterable[int],
    tries: int,
    ask: Ask,
    *,
    among: int = NEAREST,
    log_probs: bool = True,
    origin: str = "evaluation",
    progress: Progress | None = None,
) -> list[Result]:
    """Results of the oracle, which knows what every selector in `results` found and so is never below one of them."""
    tried = tried_already(tasks, results)
    found = oracle(tasks, shots, tries, ask, tried, among=among, log_probs=log_probs, origin=origin, progress=progress)
    return oracle_results(tasks, found)


def oracle_results(tasks: Tasks, found: Iterable[OracleResult]) -> list[Result]:
    """What an oracle found, as rows of results."""
    return [
        answered(
            tasks,
            result.query,
            result.best.sequence if result.best else (),
            result.best.text if result.best else Failure("all completions of the oracle failed"),
            ORACLE,
            result.shots,
        )
        for result in found
    ]


def result_of(
    tasks: Tasks,
    row: int,
    sequence: Sequence,
    completion: Completion | Failure,
    selector: str,
    shots: int,
    seed: int | None = None,
    draw: int = 0,
) -> Result:
    """One row of the results: a completion, scored by every metric of the data, or a failure, scored by none."""
    prediction = completion if isinstance(completion, Failure) else tasks.prediction(row, completion)
    given = Failure("no answer") if prediction is None else prediction
    return answered(tasks, row, sequence, given, selector, shots, seed, draw)


def answered(
    tasks: Tasks,
    row: int,
    sequence: Sequence,
    prediction: str | Failure,
    selector: str,
    shots: int,
    seed: int | None = None,
    draw: int = 0,
) -> Result:
    """The same from a prediction that is known: one a selector or a search has read from a completion already."""
    query = tasks.queries[row]
    text = None if isinstance(prediction, Failure) else prediction
    scores = {} if text is None else tasks.measure.scores(text, query.answers)
    failure = prediction.reason if isinstance(prediction, Failure) else None
    fitted = tasks.fitted(row, sequence)
    return result_with(
        scores,
        query_id=query.id,
        selector=selector,
        seed=seed,
        shots=shots,
        draw=draw,
        sequence=tuple(example.id for example in tasks.demonstrations(row, sequence)),
        text=text,
        question_type=query.question_type,
        failure=failure,
        left_out=fitted.left_out,
        without_image=fitted.without_image,
        truth=None if tasks.measure.of_data_set is None else query.answer,
    )


def tried_already(tasks: Tasks, results: Iterable[Result]) -> dict[tuple[int, int], list[Trial]]:
    """(query, shots) -> what selectors have shown that query, with how good the answer was."""
    rows = {query.id: row for row, query in enumerate(tasks.queries)}
    if tasks.pools is None:
        positions = [{example.id: row for row, example in enumerate(tasks.index)}] * len(tasks.queries)
    else:
        positions = [
            {tasks.index[index].id: position for position, index in enumerate(pool)} for pool in tasks.pools.tolist()
        ]
    tried: defaultdict[tuple[int, int], list[Trial]] = defaultdict(list)
    for result in results:
        score = result.value(tasks.measure.name)
        if result.text is not None and score is not None:
            row = rows[result.query_id]
            sequence = tuple(positions[row][number] for number in result.sequence)
            tried[row, result.shots].append(Trial(sequence, result.text, score))
    return tried
