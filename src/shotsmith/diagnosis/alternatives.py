"""Whether something free does as well: the best free selector, nothing shown at all, or one near the oracle."""

from __future__ import annotations

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding, Value
from shotsmith.evaluation.accuracies import Metric, accuracies, measured
from shotsmith.evaluation.beam import BEAM
from shotsmith.evaluation.contrasts import sign_of
from shotsmith.evaluation.evaluate import ORACLE
from shotsmith.evaluation.free import WORTH, best_free
from shotsmith.evaluation.majority_vote import MAJORITY_VOTE
from shotsmith.statistics import paired_difference

_ZERO_SHOT = "zero_shot"


def training_lost(evidence: Evidence) -> Finding | None:
    """The trained policy is below the best free selector, or not told from it, on the test queries."""
    row = evidence.outcome
    if row is None or (sign := sign_of(row)) == "better":
        return None
    values: dict[str, Value] = {name: row[name] for name in ("a", "b", "difference", "low", "high")}
    if sign == "worse":
        return Finding("training_lost", "fault", values)
    return Finding("training_undecided", "warning", values)


def zero_shot_best(evidence: Evidence) -> Finding | None:
    """No selector that shows demonstrations has a higher mean than zero-shot, which is right at least once."""
    means = _means(evidence)
    zero = means.pop(_ZERO_SHOT, 0.0)
    others = {
        name: mean for name, mean in means.items() if name not in (ORACLE, BEAM) and not name.startswith(MAJORITY_VOTE)
    }
    if not others or not zero:
        return None
    selector = max(others, key=lambda name: others[name])
    if others[selector] >= zero:
        return None
    values: dict[str, Value] = {"accuracy": zero, "selector": selector, "other": others[selector]}
    return Finding("zero_shot_best", "warning", values)


def training_cannot_pay(evidence: Evidence) -> Finding | None:
    """The interval from the best free selector to the oracle ends below what is worth training for."""
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


def _means(evidence: Evidence) -> dict[str, float]:
    """The mean of every selector over the numbers of shots, in percent."""
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
    return measured(evidence.results)[0]
