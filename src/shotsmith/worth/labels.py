"""Labels that are likely wrong: the probability, for every entry of a bank, that its answer is not the right one.

Three kinds of evidence enter, none of which a user has to mark:

- Consensus. Similar examples, of the bank and among the training and validation queries, say what the answer should be
  (`shotsmith.worth.consensus`). The score of an entry is log((own + d) / (other + d)), the support for its answer
  against that for the best other one. What a score means is learned from planted errors: entries with an answer that
  another entry gives to a similar question. A logistic regression tells these from the entries as they are, and its
  logit is the evidence.
- Copies. The VLM was shown the entry, gave its answer, and that was wrong for the query, or right. The rates at which
  copies of right and of wrong labels turn out right are learned from all entries.
- Looks. Sources differ in care, and their pictures often look alike. The share of wrong labels among entries of a
  similar look, and in the groups that the data name, is the prior probability of an entry.

Starting with equal priors, the posterior probabilities, the priors and the rates are computed in turn for some rounds
(expectation maximisation, with cross-fitting); entries that are likely wrong count less in the next consensus. Answers
to queries are taken to be right: accuracy is measured by them. Test queries are never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotsmith.worth.consensus import Answers, Features, Smoother, Support, support

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

ROUNDS = 4
LIKELY = 0.5
"""Probability from which on a label is called likely wrong."""
FEWEST = 100
"""Entries below which nothing can be learned about labels."""
REPEATED = 0.2
"""Share of entries whose answer another example has too, below which there is no consensus to speak of: captions."""
_START = 0.1
_SPARE = 0.01
"""d: support that any answer has, so that no evidence is infinite."""
_NEAREST = 100
_ALIKE = 0.5
"""Correlation assumed between copies of one entry: ten say less than ten times what one says."""
_MOST = 1.0
"""The largest logit that copies contribute: an entry can be right and shown to the wrong queries."""
_LOWEST_PRIOR = 0.01


@dataclass(frozen=True, slots=True)
class Labels:
    """What is thought of the labels of a bank; arrays are [N]."""

    wrong: Floats
    """Probability that the label is wrong."""
    prior: Floats
    """The share of wrong labels among entries of a similar look."""
    consensus: Floats
    """Logit of the evidence of similar examples: above 0 they speak against the label."""
    copies: Floats
    """Logit of the evidence of copied answers."""
    suggested: tuple[str, ...]
    """What similar examples say instead."""


def judge_labels(
    joint: Features,
    look: Features,
    answers: Sequence[str],
    questions: npt.NDArray[np.float32],
    copies: npt.NDArray[np.int64],
    *,
    seed: int = 0,
) -> Labels | None:
    """Judge the labels of the N entries of a bank; None where nothing can be said.

    `joint` holds features of the entries and, after them, of the trusted examples; `look` those of the entries.
    `answers` are those of all, `questions` the entries' question embeddings, and `copies` [N, 2] how often an answer
    copied from each entry was right and wrong.
    """
    known = Answers(answers)
    count = len(questions)
    if count < FEWEST or not known.names or (known.numbers[:count] >= 0).mean() < REPEATED:
        return None
    planted = _planted(questions, known.numbers, np.random.default_rng(seed))
    prior = wrong = np.full(count, _START)
    logit = from_copies = np.zeros(count)
    suggested = np.zeros(count, np.int64)
    smoothed = Smoother(look)
    weights = np.ones(len(answers), np.float32)
    for _ in range(ROUNDS):
        found = support(joint, known, weights, planted)
        for _ in range(3):
            logit = _evidence(found, planted >= 0, 1 - wrong)
            from_copies = _evidence_of_copies(copies, wrong)
            wrong = _sigmoid(_logit(prior) + logit + from_copies)
            prior = np.clip(smoothed(wrong), _LOWEST_PRIOR, 1 - _LOWEST_PRIOR)
        weights[:count] = 1 - wrong
        suggested = found.suggested
    return Labels(wrong, prior, logit, from_copies, tuple(known.names[number] for number in suggested))


def _planted(questions: npt.NDArray[np.float32], numbers: Rows, generator: np.random.Generator) -> Rows:
    """For each entry an answer that is not its own, of an entry with a similar question; -1 where there is none."""
    count = len(questions)
    found = np.full(count, -1, dtype=np.int64)
    nearest = min(_NEAREST, count - 1)
    for start in range(0, count, 1024):
        similar = questions[start : start + 1024] @ questions.T
        similar += 1e-4 * generator.random(similar.shape, dtype=np.float32)  # equal questions in random order
        rows = np.argpartition(-similar, nearest, axis=1)[:, :nearest]
        for place, some in enumerate(rows, start=start):
            others = numbers[some]
            others = others[(others != numbers[place]) & (others >= 0)]
            if len(others):
                found[place] = generator.choice(others)
    return found


def _evidence(found: Support, is_planted: npt.NDArray[np.bool_], right: Floats) -> Floats:
    """Logits of the evidence against each label; `right` are the probabilities that the labels are right."""
    own = np.log(found.own + _SPARE) - np.log(found.other + _SPARE)
    planted = np.log(found.planted + _SPARE) - np.log(found.beside_planted + _SPARE)
    scores = np.concatenate([own, planted[is_planted]]).astype(np.float64)
    targets = np.concatenate([np.zeros(len(own)), np.ones(int(is_planted.sum()))])
    weights = np.concatenate([right / right.sum(), np.full(int(is_planted.sum()), 1 / is_planted.sum())])
    constant, slope = _logistic(scores, targets, weights * len(own))
    if slope >= 0:  # planted errors have no less support than the answers as they are: there is no consensus
        return np.zeros(len(own))
    return np.asarray(constant + slope * own, dtype=np.float64)


def _evidence_of_copies(copies: npt.NDArray[np.int64], wrong: Floats) -> Floats:
    """Logits of the evidence that copied answers are against each label."""
    right_copies, wrong_copies = copies.T.astype(np.float64)
    total = right_copies + wrong_copies
    share = {}
    for name, weight in (("right", 1 - wrong), ("wrong", wrong)):
        share[name] = (1 + weight @ right_copies) / (2 + weight @ total)
    each = right_copies * np.log(share["wrong"] / share["right"])
    each = each + wrong_copies * np.log((1 - share["wrong"]) / (1 - share["right"]))
    independent = 1 / (1 + np.maximum(total - 1, 0) * _ALIKE)
    return np.asarray(np.clip(each * independent, -_MOST, _MOST))


def _logistic(scores: Floats, targets: Floats, weights: Floats) -> tuple[float, float]:
    """Constant and slope of a weighted logistic regression on one score (Newton's method, slightly regularised)."""
    design = np.stack([np.ones_like(scores), scores], axis=1)
    found = np.zeros(2)
    for _ in range(25):
        expected = _sigmoid(design @ found)
        slope = design.T @ (weights * (targets - expected)) - 1e-2 * found
        curvature = (design * (weights * expected * (1 - expected))[:, None]).T @ design + 1e-2 * np.eye(2)
        found = found + np.clip(np.linalg.solve(curvature, slope), -2, 2)
    return float(found[0]), float(found[1])


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))))


def _logit(values: Floats) -> Floats:
    return np.asarray(np.log(values / (1 - values)))
