"""Everything a user could do without training, on the same queries, with the same prompt and VLM.

Where queries have pools, each free selector chooses from the pool, and as NAME@bank from the whole bank. The best of
them is chosen on validation queries, never on the test queries that it is then compared on.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as ManyOf
from dataclasses import dataclass, replace
from typing import Any, Literal

from shotsmith.evaluation.accuracies import Metric, Shots, accuracies, measured
from shotsmith.evaluation.evaluate import Entrant, evaluate, training_free_entrants
from shotsmith.evaluation.majority_vote import MAJORITY_VOTE, majority_votes
from shotsmith.evaluation.results import Result
from shotsmith.recipe import EvaluationSettings
from shotsmith.selectors.fixed import Fixed
from shotsmith.selectors.named import AT_BANK, at_bank
from shotsmith.selectors.protocol import Ask, Tasks
from shotsmith.selectors.similar import mixed
from shotsmith.selectors.training_free import FREE

WORTH = 5.0
"""Points between the best free selector and the oracle from which on training is worth trying: trained policies reach a
part of them, and few test sets can tell less than half of that from chance."""


@dataclass(frozen=True, slots=True)
class BestFree:
    """The free selector with the highest mean accuracy on validation queries."""

    selector: str
    metric: Metric
    accuracy_on_val: float
    """In percent, mean over the numbers of shots."""
    n: int
    """Validation queries."""
    best_shots: int
    """The number of shots at which it is best on validation queries; the fewest among equals."""
    accuracy_on_val_at_best_shots: float
    chosen_on: Literal["val", "test"] = "val"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "selector": self.selector,
            "metric": self.metric,
            "accuracy_on_val": self.accuracy_on_val,
            "n": self.n,
            "best_shots": self.best_shots,
            "accuracy_on_val_at_best_shots": self.accuracy_on_val_at_best_shots,
            "chosen_on": self.chosen_on,
        }


def is_free(name: str) -> bool:
    """Whether a selector of this name needs no training."""
    return name.removesuffix(AT_BANK) in FREE


def place(name: str) -> tuple[bool, int]:
    """Where a free selector stands in the order of FREE; what chooses from the whole bank beside pools comes last."""
    return name.endswith(AT_BANK), FREE.index(name.removesuffix(AT_BANK))


def evaluate_free(
    tasks: Tasks,
    settings: EvaluationSettings,
    fixed: Fixed | None,
    ask: Ask,
    *,
    entrants: ManyOf[Entrant] = (),
    bank_entrants: ManyOf[Entrant] = (),
    origin: str = "evaluation",
) -> list[Result]:
    """Results of every free selector, of the pools where there are some and of the whole bank.

    `entrants` take part beside them, and `bank_entrants` (already named) where queries have pools. Votes come last.
    """
    draws, has_images = settings.random_draws, tasks.index_embeddings.has_images
    free = training_free_entrants(draws, has_images=has_images)
    whole = replace(tasks, pools=None)
    always = [] if fixed is None else [Entrant(fixed)]
    if tasks.pools is None:
        results = evaluate(whole, [*free, *always, *entrants], settings.shots, ask, origin=origin)
        return results + majority_votes(whole, mixed(), settings.shots)
    others = [
        replace(one, selector=at_bank(one.selector)) for one in (*free, *always) if one.selector.name != "zero_shot"
    ]
    results = evaluate(tasks, [*free, *entrants], settings.shots, ask, origin=origin)
    results += evaluate(whole, [*others, *bank_entrants], settings.shots, ask, origin=origin)
    results += majority_votes(tasks, mixed(), settings.shots)
    name = f"{MAJORITY_VOTE}{AT_BANK}"
    return results + [replace(one, selector=name) for one in majority_votes(whole, mixed(), settings.shots)]


def best_free(results: ManyOf[Result], chosen_on: Literal["val", "test"] = "val") -> BestFree | None:
    """The free selector with the highest mean over the numbers of shots; the first in the order of FREE among equals.

    A query that one of them has no answer to is left out of that one's mean. None where no free selector has answers.
    """
    metric = measured(results)[0]
    table = accuracies([result for result in results if is_free(result.selector)], metric)
    means: dict[str, dict[Shots, tuple[float, int]]] = {}
    for name in table.by_selector:
        cells = {shots: table.scored((name, shots))[0] for shots in table.by_selector[name]}
        if all(values.shape[1] for values in cells.values()):
            means[name] = {shots: (float(values.mean()), values.shape[1]) for shots, values in cells.items()}
    best = best_of({name: {shots: mean for shots, (mean, _) in cells.items()} for name, cells in means.items()})
    if best is None:
        return None
    name, shots = best
    accuracy, n = means[name]["mean"]
    return BestFree(name, metric, accuracy, n, shots, means[name][shots][0], chosen_on)


def best_of(means: Mapping[str, Mapping[Shots, float]]) -> tuple[str, int] | None:
    """The free selector with the highest mean over the numbers of shots, and the number of shots at which it is best.

    Selectors that are not free, or have no mean, are left out. The first in the order of FREE is chosen among equal
    selectors, the fewest among equal numbers of shots. None without a free selector.
    """
    free = sorted((name for name, cells in means.items() if is_free(name) and "mean" in cells), key=place)
    if not free:
        return None
    name = max(free, key=lambda one: round(means[one]["mean"], 9))
    by_shots = {shots: mean for shots, mean in means[name].items() if shots != "mean"}
    return name, max(sorted(by_shots), key=lambda shots: round(by_shots[shots], 9), default=0)
