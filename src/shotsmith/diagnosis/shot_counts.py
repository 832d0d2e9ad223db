"""Demonstrations that do harm: more of them, and the answers get worse."""

from __future__ import annotations

from itertools import combinations

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding, Value
from shotsmith.evaluation.accuracies import accuracies, measured
from shotsmith.statistics import Difference, holm, paired_difference

SURE = 0.05
"""p, corrected for all pairs of shot counts, below which the loss is no chance."""


def more_shots_hurt(evidence: Evidence) -> Finding | None:
    """The clearest loss from fewer to more shots of the most trained selector, on the same queries."""
    selector = evidence.trained
    if selector is None:
        return None
    metric = measured(evidence.results)[0]
    table = accuracies([result for result in evidence.results if result.selector == selector], metric)
    counts = sorted(shots for shots in table.by_selector[selector] if isinstance(shots, int))
    pairs = list(combinations(counts, 2))
    worse: list[tuple[int, int, Difference]] = []
    for fewer, more in pairs:
        with_more, with_fewer = table.scored((selector, more), (selector, fewer))
        if with_more.shape[1] > 1 and with_more.mean() < with_fewer.mean():
            worse.append((fewer, more, paired_difference(with_more, with_fewer)))
    # The pairs that got no worse need no test of their own, but count among those looked at.
    p_values = holm([found.p for _, _, found in worse] + [1.0] * (len(pairs) - len(worse)))
    losses = [
        (found.high, fewer, more, found, p)
        for (fewer, more, found), p in zip(worse, p_values[: len(worse)], strict=True)
        if found.high < 0 and p < SURE
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
