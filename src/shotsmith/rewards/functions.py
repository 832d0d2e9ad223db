"""Every reward as a pure function of an answered query, in one table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from shotsmith.metrics import vqa
from shotsmith.metrics.measure import Measure, measure_of
from shotsmith.metrics.table import METRICS
from shotsmith.metrics.texts import edit_similarity, nearest_rouge_l, nearest_token_f1
from shotsmith.records import Example
from shotsmith.rewards.answered import Answered


def vqa_accuracy(answered: Answered) -> float:
    """Official VQA accuracy of the generated answer, 0 to 1."""
    return vqa.vqa_accuracy(answered.text, answered.query.answers)


def correct(answered: Answered) -> float:
    """1 if the generated answer earns any VQA accuracy, else 0."""
    return float(vqa_accuracy(answered) > 0)


def answer_probability(answered: Answered) -> float:
    """Probability of the most common true answer, 0 to 1."""
    return math.exp(answered.log_prob(answered.query.answer))


def log_prob_gain(answered: Answered) -> float:
    """Log-probability of the most common true answer minus that with no demonstrations, in nats: its InfoScore."""
    return answered.log_prob(answered.query.answer) - answered.zero_shot_log_prob()


def gt_prob(answered: Answered) -> float:
    """Probabilities of the distinct true answers, each times min(1, annotators / 3), summed; at most 1."""
    counts = Counter(answered.query.answers)
    shares = (min(1.0, count / 3) * math.exp(answered.log_prob(answer)) for answer, count in counts.items())
    return min(1.0, math.fsum(shares))


def answer_f1(answered: Answered) -> float:
    """Token F1 of the generated answer with the nearest true answer, 0 to 1."""
    return nearest_token_f1(answered.text, answered.query.answers)


def answer_rouge_l(answered: Answered) -> float:
    """ROUGE-L of the generated answer with the nearest true answer, 0 to 1: words count in the right order only."""
    return nearest_rouge_l(answered.text, answered.query.answers)


def relevance(answered: Answered) -> float:
    """Token F1 or edit similarity with the nearest true answer, whichever is higher, 0 to 1."""
    truths = dict.fromkeys(answered.query.answers)
    return max(answer_f1(answered), max(edit_similarity(answered.text, truth) for truth in truths))


def cider(answered: Answered) -> float:
    """CIDEr-D of the generated caption, 0 to 10; the query's answers are its reference captions."""
    return answered.caption_scorer().score(answered.text, answered.query.answers)


def of_metric(measure: Measure, answered: Answered) -> float:
    """The score of the prediction in a metric of the table, or in what stands in for it; higher is better."""
    query = answered.query
    if measure.by_likelihood:
        for option in query.options:
            answered.log_prob(option)  # raises for one that is missing or none
    prediction = measure.prediction(query, answered.completion) if measure.by_likelihood else answered.text
    if prediction is None:
        raise answered.lacks("the options of a multiple-choice question")
    return measure.score(prediction, query.answers)


def _none(_: Example) -> tuple[str, ...]:
    return ()


def _most_common(query: Example) -> tuple[str, ...]:
    return (query.answer,)


def _distinct(query: Example) -> tuple[str, ...]:
    return tuple(dict.fromkeys(query.answers))


@dataclass(frozen=True, slots=True)
class RewardFunction:
    """A row of the table: a reward, and what it takes to have it."""

    of: Callable[[Answered], float]
    """Raises ShotsmithError where something it needs is missing."""
    right: float = 1.0
    """What a right and certain answer earns."""
    answers: Callable[[Example], tuple[str, ...]] = _none
    """Those of a query whose log-probability it needs."""
    zero_shot: bool = False
    """Whether it needs the log-probability with no demonstrations."""
    captions: bool = False
    """Whether it needs the reference captions of a split."""


# What a right answer gains depends on how likely it was without demonstrations, and the CIDEr of a right caption on how
# far its references agree. Stand-ins: an answer of probability 0.1 made certain; twice what people reach, about 1.
_RIGHT_GAIN = math.log(10)
_RIGHT_CIDER = 2.0

REWARDS: dict[str, RewardFunction] = {
    "vqa_accuracy": RewardFunction(vqa_accuracy),
    "correct": RewardFunction(correct),
    "answer_probability": RewardFunction(answer_probability, answers=_most_common),
    "log_prob_gain": RewardFunction(log_prob_gain, right=_RIGHT_GAIN, answers=_most_common, zero_shot=True),
    "gt_prob": RewardFunction(gt_prob, answers=_distinct),
    "answer_f1": RewardFunction(answer_f1),
    "answer_rouge_l": RewardFunction(answer_rouge_l),
    "relevance": RewardFunction(relevance),
    "cider": RewardFunction(cider, right=_RIGHT_CIDER, captions=True),
}
for _name, _metric in METRICS.items():
    if _name not in REWARDS:
        _measure = measure_of(_name)
        REWARDS[_name] = RewardFunction(partial(of_metric, _measure), answers=_measure.options)
"""Every reward by name: that of its weight in the recipe, where it has one."""
