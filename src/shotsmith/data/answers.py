"""Whether the answers of a data set can be scored as the recipe asks, and whether every score can be reached.

What a metric cannot score is an error. What it scores, but never fully, is a warning that names the metric that fits.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from shotsmith.data.splits import Splits
from shotsmith.errors import DataError
from shotsmith.metrics.numbers import not_numbers
from shotsmith.metrics.table import METRICS
from shotsmith.metrics.vqa import normalise
from shotsmith.recipe import Recipe
from shotsmith.records import Example

ENOUGH = 4
"""Answers from which on the official VQA accuracy of a prediction can be 1: three others must agree with each."""
_SHORT = 3
"""Words up to which an answer is right or wrong as a whole."""

logger = logging.getLogger(__name__)


def check_answers(recipe: Recipe, splits: Splits) -> None:
    """Check the answers of all queries. Raises DataError for answers that a weight of the reward cannot score.

    Logs a warning for every kind of score that cannot be reached: fewer than four answers under the official VQA
    accuracy, a mixture of few and many, and one answer to all queries.
    """
    _check_rewards(recipe, splits)
    queries = splits.val + splits.test
    for told in unreachable(recipe.data.metric, queries):
        logger.warning("%s", told)
    weighted = recipe.reward.mode == "weighted_sum" and recipe.reward.vqa_accuracy
    if (
        weighted
        and not METRICS[recipe.data.metric].needs_annotators
        and all(len(one.answers) == 1 for one in splits.train)
    ):
        metric = recipe.data.metric
        told = "every training query has one answer, so that reward.vqa_accuracy always earns 0; set it to 0"
        logger.warning("%s and reward.%s to 1", told, metric)


def unreachable(metric: str, queries: Sequence[Example]) -> Iterator[str]:
    """What about the scores of these queries cannot be reached or says nothing, a sentence each."""
    few = [query for query in queries if len(query.answers) < ENOUGH]
    if METRICS[metric].needs_annotators and few:
        yield _few(metric, few, queries)
    if len(queries) > 1 and len({normalise(query.answer) for query in queries}) == 1:
        yield (
            f"all {len(queries)} validation and test queries have the answer '{queries[0].answer}': showing it once is "
            "enough, and no selector can be better than another; are these the answers that were meant?"
        )


def fitting(queries: Sequence[Example]) -> str:
    """The metric that fits answers of which there are few."""
    if all(not_numbers(query.answers) is None for query in queries):
        return "relaxed_accuracy or mean_absolute_error"
    if all(query.options for query in queries):
        return "choice_letter or choice_likelihood"
    longest = max(len(answer.split()) for query in queries for answer in query.answers)
    return "exact_match" if longest <= _SHORT else "token_f1 or anls"


def _few(metric: str, few: Sequence[Example], queries: Sequence[Example]) -> str:
    most, least = (max(len(query.answers) for query in some) for some in (queries, few))
    what = f"{len(few)} of {len(queries)} validation and test queries have fewer than {ENOUGH} answers"
    ceiling = "always 0" if least == 1 else f"at most {least - 1}/3"
    mixed = f"; others have up to {most}, so that scores are not comparable" if most >= ENOUGH else ""
    return f"{what}, so that their {metric} is {ceiling}{mixed}: the metric {fitting(few)} fits them (see docs/data.md)"


def _check_rewards(recipe: Recipe, splits: Splits) -> None:
    for name, weight in recipe.reward.metrics.items():
        for query in splits.train + splits.val if weight and recipe.reward.mode == "weighted_sum" else ():
            problem = METRICS[METRICS[name].stand_in or name].problem(query.answers)
            if METRICS[name].by_likelihood and not query.options:
                problem = "the question has no options (columns.options)"
            if problem is not None:
                raise DataError(f"{problem}; the reward has the metric {name}", row=query.id, field="answers")
