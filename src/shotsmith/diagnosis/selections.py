"""Detect selections that do not help: training that gains nothing, and sequences that lower the accuracy.

The detectors compare selectors and numbers of shots on test queries, and look at the sequences selected there.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
from scipy import stats

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding, Value
from shotsmith.evaluation.accuracies import Metric, accuracies, measured
from shotsmith.evaluation.beam import BEAM
from shotsmith.evaluation.contrasts import sign_of
from shotsmith.evaluation.controls import control_of
from shotsmith.evaluation.evaluate import ORACLE
from shotsmith.evaluation.free import WORTH, best_free
from shotsmith.evaluation.majority_vote import MAJORITY_VOTE
from shotsmith.statistics import Difference, holm, paired_difference

LOSS_P = 0.05
"""p below which a loss from more shots is significant, after correction for all pairs of shot counts."""
BIAS_P = 0.001
"""p of the chi-square test below which the places of a pool are not chosen evenly."""
MIN_EFFECT = 0.3
"""Cohen's w, sqrt(chi2 / n), of a medium effect; with many queries a negligible effect is significant, too."""
MIN_EXPECTED = 5
"""The fewest expected choices of a place for the chi-square test to hold."""
_ZERO_SHOT = "zero_shot"


def training_lost(evidence: Evidence) -> Finding | None:
    """The trained policy is worse than the best free selector on test queries, or not significantly different."""
    row = evidence.outcome
    if row is None or (sign := sign_of(row)) == "better":
        return None
    values: dict[str, Value] = {name: row[name] for name in ("a", "b", "difference", "low", "high")}
    if sign == "worse":
        return Finding("training_lost", "fault", values)
    return Finding("training_undecided", "warning", values)


def zero_shot_best(evidence: Evidence) -> Finding | None:
    """Zero-shot has a higher mean accuracy, above 0, than every selector that shows demonstrations."""
    means = _mean_accuracies(evidence)
    zero = means.pop(_ZERO_SHOT, 0.0)
    others = {
        name: mean
        for name, mean in means.items()
        if name not in (ORACLE, BEAM) and not name.startswith(MAJORITY_VOTE) and control_of(name) is None
    }
    if not others or not zero:
        return None
    selector = max(others, key=lambda name: others[name])
    if others[selector] >= zero:
        return None
    values: dict[str, Value] = {"accuracy": zero, "selector": selector, "other": others[selector]}
    return Finding("zero_shot_best", "warning", values)


def training_cannot_pay(evidence: Evidence) -> Finding | None:
    """The confidence interval of the oracle minus the best free selector ends below a gain worth training for."""
    best = evidence.best_free or (found.selector if (found := best_free(evidence.results)) else None)
    if best is None or not any(result.selector == ORACLE for result in evidence.results):
        return None
    table = accuracies([result for result in evidence.results if result.selector in (best, ORACLE)], _metric(evidence))
    upper, lower = table.scored((ORACLE, "mean"), (best, "mean"))
    if upper.shape[1] < 2 or not upper.any() or paired_difference(upper, lower).high >= WORTH:
        return None
    oracle, accuracy = float(upper.mean()), float(lower.mean())
    values: dict[str, Value] = {"oracle": oracle, "free": best, "accuracy": accuracy, "gap": oracle - accuracy}
    return Finding("training_cannot_pay", "warning", values)


def more_shots_hurt(evidence: Evidence) -> Finding | None:
    """The most trained selector loses accuracy with more shots on the same queries; the clearest of such losses."""
    selector = evidence.trained
    if selector is None:
        return None
    table = accuracies([result for result in evidence.results if result.selector == selector], _metric(evidence))
    counts = sorted(shots for shots in table.by_selector[selector] if isinstance(shots, int))
    pairs = list(combinations(counts, 2))
    worse: list[tuple[int, int, Difference]] = []
    for fewer, more in pairs:
        with_more, with_fewer = table.scored((selector, more), (selector, fewer))
        if with_more.shape[1] > 1 and with_more.mean() < with_fewer.mean():
            worse.append((fewer, more, paired_difference(with_more, with_fewer)))
    # Pairs without a loss need no test, but count among the comparisons that Holm's correction is for.
    p_values = holm([found.p for _, _, found in worse] + [1.0] * (len(pairs) - len(worse)))
    losses = [
        (found.high, fewer, more, found, p)
        for (fewer, more, found), p in zip(worse, p_values[: len(worse)], strict=True)
        if found.high < 0 and p < LOSS_P
    ]
    if not losses:
        return None
    _, fewer, more, found, p = min(losses, key=lambda loss: loss[0])
    values: dict[str, Value] = {
        "selector": selector,
        "fewer": fewer,
        "more": more,
        "difference": found.difference,
        "low": found.low,
    }
    values |= {"high": found.high, "p": p, "queries": found.n}
    return Finding("more_shots_hurt", "warning", values, {"grpo.shots": list(range(1, more + 1))})


def repeated_demonstrations(evidence: Evidence) -> Finding | None:
    """A sequence holds the same demonstration twice; of several selectors, the one that repeats most often."""
    repeats_by_selector: dict[str, list[bool]] = {}
    for result in evidence.results:
        if len(result.sequence) > 1:
            repeats = len(set(result.sequence)) < len(result.sequence)
            repeats_by_selector.setdefault(result.selector, []).append(repeats)
    if not any(any(repeats) for repeats in repeats_by_selector.values()):
        return None
    selector, flags = max(repeats_by_selector.items(), key=lambda pair: sum(pair[1]) / len(pair[1]))
    count = sum(flags)
    values: dict[str, Value] = {
        "selector": selector,
        "count": count,
        "total": len(flags),
        "share": 100 * count / len(flags),
    }
    return Finding("repeated_demonstrations", "fault", values)


def position_bias(evidence: Evidence) -> Finding | None:
    """The most trained selector prefers some places of randomly ordered pools, which it should choose evenly.

    The test uses one seed and one number of shots, because choices at other numbers of shots are not independent.
    It does not apply where queries retrieve from the whole bank.
    """
    if evidence.trained is None or not evidence.pools or evidence.setting("pools.sampler") not in (None, "random"):
        return None
    counts = _place_counts(evidence, evidence.trained)
    if len(counts) < 2 or counts.sum() < MIN_EXPECTED * len(counts):
        return None
    test = stats.chisquare(counts)
    if test.pvalue >= BIAS_P or math.sqrt(test.statistic / counts.sum()) < MIN_EFFECT:
        return None
    place = int(counts.argmax())
    values: dict[str, Value] = {"selector": evidence.trained, "chi2": float(test.statistic), "degrees": len(counts) - 1}
    values |= {"p": float(test.pvalue), "place": place + 1, "share": 100 * float(counts[place] / counts.sum())}
    return Finding("position_bias", "warning", values | {"expected": 100 / len(counts), "choices": int(counts.sum())})


def _mean_accuracies(evidence: Evidence) -> dict[str, float]:
    """Return the accuracy of every selector, averaged over the numbers of shots, in percent."""
    if not evidence.results:
        return {}
    table = accuracies(evidence.results, _metric(evidence))
    means = {}
    for name in table.by_selector:
        (values,) = table.scored((name, "mean"))
        if values.shape[1]:
            means[name] = float(values.mean())
    return means


def _metric(evidence: Evidence) -> Metric:
    """Return the leading metric of the results."""
    return measured(evidence.results)[0]


def _place_counts(evidence: Evidence, selector: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Count how often each place of the pools is chosen at the largest number of shots, for the first seed."""
    own = [result for result in evidence.results if result.selector == selector]
    seed = min((result.seed or 0 for result in own), default=0)
    shots = max((result.shots for result in own), default=0)
    counts = np.zeros(max(map(len, evidence.pools.values()), default=0), dtype=np.int64)
    for result in own:
        if (result.seed or 0, result.shots) != (seed, shots) or result.query_id not in evidence.pools:
            continue
        places = {number: place for place, number in enumerate(evidence.pools[result.query_id])}
        for number in result.sequence:
            if number in places:
                counts[places[number]] += 1
    return counts
